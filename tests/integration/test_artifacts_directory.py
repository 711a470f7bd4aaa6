"""--cam-artifacts: a directory that cannot be used, or an artifact that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_cam.reporting.naming import folder_name

WITNESS = """
def test_runs():
    with open("ran", "a") as file:
        file.write("x")
"""
FAILING = """
def test_looks(model, photo):
    assert_attention_in_region(model, photo, DARK, "0")
"""


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        pytest.param("occupied", "*occupied is, or lies below, a file; accepted: a directory*", id="a file"),
        pytest.param("occupied/below", "*below is, or lies below, a file; accepted: a directory*", id="below a file"),
        pytest.param("/proc/cam/artifacts", "*artifacts cannot be written to (*", id="unwritable"),
        pytest.param("", "*--cam-artifacts is empty; accepted: a directory*", id="empty"),
    ],
)
def test_unusable_directory_ends_the_run_before_any_test(project, given, complaint):
    if given.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs a file system in which not even root can make a directory")
    (project.path / "occupied").write_text("")
    project.write(test_witness=WITNESS)

    result = project.run(f"--cam-artifacts={given}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {complaint}"])
    assert not (project.path / "ran").exists()


def test_unusable_directory_in_the_ini_file_does_not_stop_the_help(project):
    (project.path / "occupied").write_text("")
    project.pytester.makeini("[pytest]\ncam_artifacts = occupied")

    result = project.run("--help")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["*--cam-artifacts=DIR*"])


def test_directory_in_the_ini_file_is_relative_to_that_file(project, monkeypatch):
    project.pytester.makeini("[pytest]\ncam_artifacts = artifacts\npythonpath = .")
    project.write(test_looks=FAILING)
    elsewhere = project.path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    result = project.run("..", "-c", "../tox.ini")

    result.assert_outcomes(failed=1)
    assert [path.name for path in project.directory.iterdir()] == [folder_name("test_looks.py::test_looks", 0)]
    assert list(elsewhere.iterdir()) == []


def test_artifact_that_cannot_be_written_hides_no_failure_and_no_other_artifact(project):
    project.write(test_first=FAILING, test_second=FAILING)
    occupied = project.directory / folder_name("test_first.py::test_looks", 0)
    others = project.directory / folder_name("test_second.py::test_looks", 0)
    others.mkdir(parents=True)
    occupied.write_text("mine")
    (others / "notes.txt").write_text("mine too")

    result = project.run_with_artifacts()

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["*AttentionError: attention in box: skill -0.16 < 0.25*", "*- pytest-cam: artifacts failed -*"]
    )
    result.stdout.fnmatch_lines(["*attention: artifacts failed*", f"artifact {occupied} could not be written: *"])
    assert occupied.read_text() == "mine"
    assert (others / "notes.txt").read_text() == "mine too"
    assert [document["test"] for document in project.documents()["test_looks"]] == ["test_second.py::test_looks"]


def test_artifact_that_cannot_be_written_fails_a_run_of_expected_failures(project):
    project.write(
        test_expected="""
        @pytest.mark.xfail
        def test_looks(cam, model, photo):
            cam.assert_attention_in_region(model, photo, DARK)
        """
    )
    project.directory.mkdir()
    occupied = project.directory / folder_name("test_expected.py::test_looks", 0)
    occupied.write_text("mine")

    result = project.run_with_artifacts()

    result.assert_outcomes(xfailed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*attention: artifacts failed*", f"artifact {occupied} could not be written: *"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


EARLIER = """
import os
from pathlib import Path

IS_FIXED = Path("fixed").exists()

def test_fixed(cam, model, photo):
    if IS_FIXED and "SKIPPED" in os.environ:
        pytest.skip("is not for here")
    with cam.soft():
        for region in (LIT,) if IS_FIXED else (DARK, (0, 5, 4, 8)):
            cam.assert_attention_in_region(model, photo, region)

def test_fails_once_less(cam, model, photo, subtests):
    for region in (DARK, LIT if IS_FIXED else DARK):
        with subtests.test():
            cam.assert_attention_in_region(model, photo, region)

def test_fails_of_something_else(cam, model, photo):
    if IS_FIXED:
        raise RuntimeError("not about attention")
    cam.assert_attention_in_region(model, photo, DARK)

@pytest.fixture
def breaks():
    if IS_FIXED:
        raise RuntimeError("nor is this")

def test_is_not_set_up(breaks, cam, model, photo):
    cam.assert_attention_in_region(model, photo, DARK)

@pytest.mark.skipif(IS_FIXED, reason="does not run")
def test_skipped(cam, model, photo):
    cam.assert_attention_in_region(model, photo, DARK)

def test_deselected(cam, model, photo):
    cam.assert_attention_in_region(model, photo, DARK)
"""


@pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="this pytest has no subtests")
def test_artifacts_of_earlier_runs_go_when_their_tests_run_again(project):
    project.write(test_earlier=EARLIER)
    project.run_with_artifacts()
    before = {name: len(documents) for name, documents in project.documents().items()}
    (project.directory / "mine").mkdir()
    (project.directory / "mine" / "notes.txt").write_text("mine")
    (project.documents()["test_fixed"][1]["folder"] / "notes.txt").write_text("mine too")
    (project.path / "fixed").touch()

    result = project.run_with_artifacts("--deselect=test_earlier.py::test_deselected")

    assert before == {
        "test_fixed": 2,
        "test_fails_once_less": 2,
        "test_fails_of_something_else": 1,
        "test_is_not_set_up": 1,
        "test_skipped": 1,
        "test_deselected": 1,
    }
    after = {name: len(documents) for name, documents in project.documents().items()}
    assert after == {"test_fails_once_less": 1, "test_skipped": 1, "test_deselected": 1}
    result.stdout.fnmatch_lines(
        [
            "*- attention -*",
            "pictures of 1 failed check in *",
            "removed 5 artifacts of earlier runs of these tests",
        ]
    )
    assert len(list(project.directory.glob("*/notes.txt"))) == 2
    assert len(list(project.directory.iterdir())) == 3 + 2


def test_test_that_gives_up_or_is_calibrated_keeps_what_an_earlier_run_found(project, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    project.write(test_earlier=EARLIER)
    project.run_with_artifacts("-k", "test_fixed")
    (project.path / "fixed").touch()

    project.run_with_artifacts("-k", "test_fixed", "--cam-calibrate").assert_outcomes(passed=1)
    monkeypatch.setenv("SKIPPED", "yes")
    project.run_with_artifacts("-k", "test_fixed").assert_outcomes(skipped=1)

    assert len(project.documents()["test_fixed"]) == 2
