"""From a failing phase of a test to its artifacts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_cam import AttentionError
from pytest_cam.reporting.directory import DIRECTORY_KEY
from pytest_cam.reporting.naming import folder_name
from pytest_cam.reporting.recorder import RunSummary, record
from pytest_cam.running import sendable


@pytest.fixture
def item(tmp_path):
    config = SimpleNamespace(stash=pytest.Stash(), option=SimpleNamespace(), rootpath=tmp_path)
    config.stash[DIRECTORY_KEY] = tmp_path
    path = tmp_path / "test_model.py"
    return SimpleNamespace(nodeid="test_model.py::test_dog", path=path, stash=pytest.Stash(), config=config)


def recorded(item, error=None, outcome="failed", when="call", **attributes):
    """Return the report of one phase after it was recorded."""
    excinfo = None if error is None else SimpleNamespace(value=error)
    report = SimpleNamespace(
        outcome=outcome, skipped=outcome == "skipped", when=when, sections=[], nodeid=item.nodeid, **attributes
    )
    record(item, SimpleNamespace(when=when, excinfo=excinfo), report, None)
    return report


def told(outcome, when="call", **attributes):
    """Return a report as it comes to the process that ends the run."""
    return pytest.TestReport("test", ("test.py", 0, "test"), {}, outcome, None, when, **attributes)


@pytest.fixture
def terminal():
    lines = []
    return SimpleNamespace(
        lines=lines, write_sep=lambda *_, **__: None, write_line=lambda line, **_: lines.append(line)
    )


@pytest.mark.parametrize(
    ("outcome", "attributes", "label"),
    [
        ("failed", {}, "failed"),
        ("skipped", {"wasxfail": "known"}, "xfailed"),
    ],
)
def test_failure_is_recorded_with_its_label(item, failure, tmp_path, outcome, attributes, label):
    report = recorded(item, failure, outcome, **attributes)

    (folder,) = tmp_path.iterdir()
    assert report.cam_artifacts == [str(folder)]
    assert report.sections == [(f"pytest-cam: pictures ({label})", str(folder / "panel.png"))]
    assert not hasattr(report, "cam_errors")


def test_skip_because_of_a_failed_check_leaves_nothing(item, failure, tmp_path):
    report = recorded(item, failure, "skipped")

    assert list(tmp_path.iterdir()) == []
    assert report.sections == []


def test_without_a_directory_nothing_happens(item, failure, tmp_path):
    item.config.stash[DIRECTORY_KEY] = None

    report = recorded(item, failure)

    assert list(tmp_path.iterdir()) == []
    assert report.sections == []


def test_error_of_its_own_becomes_a_section_and_a_list_of_text(item, tmp_path):
    report = recorded(item, AttentionError("made by hand", "no evidence"))

    assert [title for title, _ in report.sections] == ["pytest-cam: artifacts failed"]
    (error,) = report.cam_errors
    assert error.startswith("pytest-cam could not record test_model.py::test_dog:\nTraceback")


def test_what_a_report_carries_can_be_sent_wherever_the_directory_lies(item, failure, tmp_path):
    item.config.stash[DIRECTORY_KEY] = tmp_path / "\udcff"
    (tmp_path / "\udcff").mkdir()

    written = recorded(item, failure)
    for path in (tmp_path / "\udcff").glob("*/*"):
        path.unlink()
        path.mkdir()
    failed = recorded(item, failure, when="setup")

    texts = [*written.cam_artifacts, *failed.cam_errors, *(text for _, text in written.sections + failed.sections)]
    assert len(texts) == 4
    assert all(text.encode() for text in texts)


def test_next_attempt_replaces_what_the_one_before_wrote(item, failure, tmp_path):
    recorded(item, failure)
    recorded(item, failure, when="teardown")
    assert len(list(tmp_path.iterdir())) == 2

    recorded(item, outcome="passed", when="setup")
    assert list(tmp_path.iterdir()) == []

    report = recorded(item, failure)
    assert report.cam_artifacts == [str(path) for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("before", "errors", "after"),
    [
        (pytest.ExitCode.OK, [], pytest.ExitCode.OK),
        (pytest.ExitCode.OK, ["disk full"], pytest.ExitCode.TESTS_FAILED),
        (pytest.ExitCode.INTERRUPTED, ["disk full"], pytest.ExitCode.INTERRUPTED),
    ],
)
def test_run_that_could_not_write_fails_whatever_its_tests_did(pytestconfig, tmp_path, before, errors, after):
    summary = RunSummary(tmp_path, pytestconfig)
    summary.pytest_runtest_logreport(told("passed"))
    if errors:
        summary.pytest_runtest_logreport(told("skipped", cam_errors=errors))
    session = SimpleNamespace(exitstatus=before)

    summary.pytest_sessionfinish(session)

    assert session.exitstatus == after


def test_summary_counts_the_last_attempt_only(pytestconfig, tmp_path, terminal):
    summary = RunSummary(tmp_path, pytestconfig)
    # As pytest-rerunfailures has them: those of subtests at once and without a number, the others at an attempt's end.
    for number, attributes in enumerate(
        (
            {"outcome": "failed"},
            {"outcome": "rerun", "rerun": 0},
            {"outcome": "passed", "rerun": 0},
            {"outcome": "failed"},
            {"outcome": "failed", "rerun": 1},
        )
    ):
        summary.pytest_runtest_logreport(told(cam_pictured=[f"test-{number}"], **attributes))

    summary.pytest_terminal_summary(terminal)

    assert terminal.lines == [f"pictures of 2 failed checks in {tmp_path}"]


@pytest.mark.parametrize(
    ("xfailed", "failed", "said"),
    [
        ([], ["a"], "1 failed check"),
        (["a"], [], "1 expected failure"),
        (["a", "b"], ["c", "d", "e"], "3 failed checks and 2 expected failures"),
    ],
)
def test_summary_tells_expected_failures_apart(pytestconfig, tmp_path, terminal, xfailed, failed, said):
    summary = RunSummary(tmp_path, pytestconfig)
    summary.pytest_runtest_logreport(told("skipped", wasxfail="known", cam_pictured=xfailed))
    for _ in range(2):  # as with --keep-duplicates: the second run of a test writes to the first one's folders
        summary.pytest_runtest_logreport(told("failed", cam_pictured=failed))

    summary.pytest_terminal_summary(terminal)

    assert terminal.lines == [f"pictures of {said} in {tmp_path}"]


@pytest.mark.parametrize("name", ["artifacts", "\udcff"])
def test_earlier_artifact_that_cannot_be_removed_is_told_and_fails_nothing(pytestconfig, tmp_path, terminal, name):
    directory = tmp_path / name
    folder = directory / folder_name("test", 0)
    (folder / "panel.png" / "mine").mkdir(parents=True)
    (folder / "attention.json").write_text('{"test": "test", "files": ["panel.png"]}')
    summary, session = RunSummary(directory, pytestconfig), SimpleNamespace(exitstatus=pytest.ExitCode.OK)
    for when in ("call", "teardown"):
        summary.pytest_runtest_logreport(told("passed", when))

    summary.pytest_sessionfinish(session)
    summary.pytest_terminal_summary(terminal)

    assert session.exitstatus == pytest.ExitCode.OK
    (line,) = terminal.lines
    assert line.startswith("an artifact of an earlier run could not be removed: ")
    assert sendable(str(folder / "panel.png")) in line


def test_other_earlier_artifacts_are_removed_all_the_same_and_the_next_run_tries_again(
    pytestconfig, tmp_path, terminal
):
    stuck, others = tmp_path / folder_name("test", 0), [tmp_path / folder_name("test", number) for number in (1, 2)]
    (stuck / "panel.png" / "mine").mkdir(parents=True)
    for folder in (stuck, *others):
        folder.mkdir(exist_ok=True)
        (folder / "attention.json").write_text('{"test": "test", "files": ["panel.png"]}')
    for removed in (2, 0):
        summary = RunSummary(tmp_path, pytestconfig)
        for when in ("call", "teardown"):
            summary.pytest_runtest_logreport(told("passed", when))
        summary.pytest_sessionfinish(SimpleNamespace(exitstatus=pytest.ExitCode.OK))
        terminal.lines.clear()
        summary.pytest_terminal_summary(terminal)
        *said, line = terminal.lines
        assert said == ([f"removed {removed} artifacts of earlier runs of these tests"] if removed else [])
        assert str(stuck / "panel.png") in line
