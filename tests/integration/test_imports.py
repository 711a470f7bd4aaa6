"""What a project that does not use the plugin pays for it."""

from __future__ import annotations

import subprocess
import sys

# What a run that has nothing to do with attention imports of this package: each module more costs every run of pytest.
OURS = {"pytest_cam", *(f"pytest_cam.{name}" for name in ("hookspecs", "options", "plugin", "running"))}
# Each process of the run, workers too, adds a line with what it has imported of those and of the expensive libraries.
CONFTEST = """
import os
import sys

import pytest

HEAVY = ("torch", "torchvision", "numpy", "PIL", "cv2")


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    with open("imported.txt", "a") as file:
        ours = [name for name in sys.modules if name.partition(".")[0] == "pytest_cam"]
        print(os.getpid(), *(name for name in HEAVY if name in sys.modules), *ours, file=file)
"""


def test_maps_outside_of_tests_need_no_pytest():
    code = "import sys, pytest_cam; pytest_cam.attend; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def imported(project, *args: str) -> tuple[int, set[str]]:
    """Return how many processes a run had, and what they imported of the expensive libraries and of this one."""
    log = project.path / "imported.txt"
    log.unlink(missing_ok=True)
    project.run(*args, cold=True)
    processes = [line.split() for line in log.read_text().splitlines()]
    return len(processes), {name for process in processes for name in process[1:]}


def test_nothing_heavy_is_imported_where_the_plugin_is_not_used(project):
    project.pytester.makeconftest(CONFTEST)
    project.pytester.makepyfile(
        test_of_others="""
        def test_passes():
            pass

        def test_fails():
            assert False
        """
    )

    _, by_others = imported(project, "-p", "no:cam")
    _, at_collection = imported(project, "--collect-only")
    processes, in_a_run = imported(project)
    _, with_artifacts = imported(project, "--cam-artifacts=artifacts")

    assert at_collection == in_a_run == by_others | OURS
    assert {name for name in with_artifacts if not name.startswith("pytest_cam")} == by_others
    assert processes == (3 if "-n2" in project.plugin_args else 1)
