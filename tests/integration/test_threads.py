"""--cam-threads and its ini key: how many threads torch uses, in this process and in the workers of xdist."""

from __future__ import annotations

import os

import pytest
import torch

from tests.forked import warm

SEEN = """
        import torch

        @pytest.mark.parametrize("number", range(4))
        def test_threads(number):
            with open(f"threads-{number}", "w") as file:
                file.write(str(torch.get_num_threads()))
"""


# As many as no setting here gives.
BEFORE = 7


@pytest.fixture(autouse=True)
def _threads():
    """Leave torch as many threads in this process as it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(BEFORE)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def seen(project):
    project.write(test_threads=SEEN)
    # In each process of the run before the setting is looked at.
    project.pytester.makeconftest(f"import torch; torch.set_num_threads({BEFORE})")

    def run(*args):
        project.run(*args).assert_outcomes(passed=4)
        return {path.read_text() for path in project.path.glob("threads-*")}

    return run


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def test_a_number_holds_everywhere_and_goes_with_the_run(seen):
    assert seen("--cam-threads=2") == {"2"}
    assert torch.get_num_threads() == BEFORE


def test_number_of_the_ini_file(seen, project):
    project.pytester.makeini("[pytest]\ncam_threads = 3")
    assert seen() == {"3"}


def test_auto_shares_the_cores_out_among_workers_only(seen, project):
    shared = max(1, cores() // 2) if "-n2" in project.plugin_args else BEFORE
    assert seen("--cam-threads=auto") == {str(shared)}


def test_nothing_is_changed_without(seen):
    assert seen() == {str(BEFORE)}


@pytest.mark.parametrize("given", ["0", "-1", "two", "2.5", "99999999999999999999"])
def test_wrong_numbers_are_errors_before_any_test_runs(project, given):
    project.write(test_never="def test_never(): open('ran', 'w').close()")

    result = project.run(f"--cam-threads={given}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --cam-threads is '{given}'; accepted: a number from 1 to 1024, or 'auto'"])
    assert not (project.path / "ran").exists()


def test_what_only_hands_out_tests_does_not_import_torch(pytester, forks, monkeypatch):
    pytester.makeconftest(
        """
        import sys

        def pytest_unconfigure(config):
            if not hasattr(config, "workerinput"):
                with open("controller", "w") as file:
                    file.write(str("torch" in sys.modules))
        """
    )
    pytester.makepyfile("def test_it(): pass")

    arguments, environment = warm.workers(forks)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = pytester.runpytest_subprocess("-n2", *arguments, "-p", "no:hypothesispytest", "--cam-threads=1")
    run.assert_outcomes(passed=1)

    assert (pytester.path / "controller").read_text() == "False"


def test_a_way_of_handing_out_tests_without_workers_to_hand_them_to_changes_nothing(pytester):
    pytester.makepyfile("import torch\n\ndef test_it(): assert torch.get_num_threads() == 2")
    pytester.runpytest_inprocess("--dist=loadfile", "--cam-threads=2").assert_outcomes(passed=1)
