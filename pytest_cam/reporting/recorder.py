"""From a failing test to its artifacts; and what the run says of them at its end.

An error in here must never stop a run, nor be lost: under xdist an exception in a report hook ends the run with exit
status 0. So errors become sections of the report and a list on it, and that list makes the run fail.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_cam.errors import ArtifactError
from pytest_cam.images.style import Style
from pytest_cam.reporting.attempts import Attempts
from pytest_cam.reporting.directory import DIRECTORY_KEY
from pytest_cam.reporting.exceptions import evidence_in
from pytest_cam.reporting.naming import folder_name
from pytest_cam.reporting.removing import remove_artifact, remove_earlier
from pytest_cam.running import RUNNING, id_of, noted_id, sendable

if TYPE_CHECKING:
    from pytest_cam.checks.bound import Cam
    from pytest_cam.verdicts.findings import AnyEvidence

STYLE_KEY = pytest.StashKey[Style]()
_FOLDERS_KEY = pytest.StashKey[list[Path]]()


class RunSummary:
    """Collects, on the process that ends the run, what reports say of artifacts. A pytest plugin of its own."""

    def __init__(self, directory: Path, config: pytest.Config) -> None:
        self._directory, self._config = directory, config
        self._attempts = Attempts()
        # The folders of checks by test, and whether the check was expected to fail.
        self._pictured: dict[str, dict[str, bool]] = {}
        self._errors: list[str] = []
        self._begun: set[str] = set()
        self._ran: set[str] = set()
        self._folders: set[str] = set()
        self._removed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take over what a report says; the attributes are plain lists and survive xdist."""
        test = noted_id(report, self._config)
        if self._attempts.discard(report):  # its pictures are gone by the end of the run
            self._pictured.pop(test, None)
        elif hasattr(report, "cam_pictured"):
            is_expected = _outcome(report) == "xfailed"
            self._pictured.setdefault(test, {}).update(dict.fromkeys(report.cam_pictured, is_expected))
        self._errors += getattr(report, "cam_errors", [])
        self._folders.update(getattr(report, "cam_folders", []))
        # A test that is skipped says nothing of what it found earlier, nor does one in which the run was stopped.
        if report.failed or (report.when == "call" and _outcome(report) != "skipped"):
            self._begun.add(test)
        if report.when == "teardown" and test in self._begun:
            self._ran.add(test)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run whose artifacts could not be written, even if its tests passed; remove what is out of date."""
        if self._errors and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        # A run that applies no limits does not know what is mended.
        if RUNNING.is_calibrating or not self._ran:
            return
        try:
            self._removed, errors = remove_earlier(self._directory, self._ran, self._folders)
        except OSError as error:  # of the directory itself
            errors = [error]
        # What an OSError says of a path can be sent to any stream.
        self._errors += [f"an artifact of an earlier run could not be removed: {each}" for each in errors]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the pictures are, and what could not be written."""
        lines = []
        expected = [is_expected for folders in self._pictured.values() for is_expected in folders.values()]
        counts = (expected.count(False), "failed check"), (expected.count(True), "expected failure")
        if said := [f"{count} {what}{'s' if count > 1 else ''}" for count, what in counts if count]:
            lines.append(f"pictures of {' and '.join(said)} in {self._directory}")
        if count := self._removed:
            lines.append(f"removed {count} artifact{'s' if count > 1 else ''} of earlier runs of these tests")
        if lines:
            terminalreporter.write_sep("-", "attention")
        for line in lines:
            terminalreporter.write_line(line)
        if self._errors:
            terminalreporter.write_sep("!", "attention: artifacts failed", red=True)
            for error in self._errors:
                terminalreporter.write_line(error, red=True)


def record(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, cam: Cam | None) -> None:
    """Write the artifacts of one phase of a test. Never raises.

    Args:
        item: The test.
        call: The phase's outcome with its exception.
        report: The report, which gets sections and two lists of plain strings.
        cam: The test's `cam` fixture, or None.
    """
    try:
        directory = item.config.stash.get(DIRECTORY_KEY, None)
        if directory is None:
            return
        if call.when == "setup":
            _forget_earlier_attempt(item)
        judged = _judged(call, report)
        found = judged or _only_computed(call, report, cam)
        errors = _write_all(item, found, report, directory, cam)
        if written := getattr(report, "cam_artifacts", []):
            # A plain assert is one check, however many maps there are to show for it.
            report.cam_pictured = written if judged else written[:1]  # type: ignore[attr-defined]  # to the controller
    except Exception as error:
        errors = [_reason(item, error)]
    if errors:
        report.sections.append(("pytest-cam: artifacts failed", "\n".join(errors)))
        report.cam_errors = errors  # type: ignore[attr-defined]  # a plain list, the way to the controller


def _judged(call: pytest.CallInfo[None], report: pytest.TestReport) -> list[AnyEvidence]:
    """Return the evidence of the checks that failed."""
    error = _failure(call, report)
    return [] if error is None else evidence_in(error)


def _only_computed(call: pytest.CallInfo[None], report: pytest.TestReport, cam: Cam | None) -> list[AnyEvidence]:
    """Return, for a plain assert that failed, what the test computed."""
    if cam is None or not isinstance(_failure(call, report), AssertionError):
        return []
    return cam.journal.evidence()


def _failure(call: pytest.CallInfo[None], report: pytest.TestReport) -> BaseException | None:
    # A test that gives up with pytest.skip() because of a failed check has not failed.
    if call.excinfo is None or _outcome(report) not in ("failed", "xfailed"):
        return None
    return call.excinfo.value


def _write_all(
    item: pytest.Item, found: list[AnyEvidence], report: pytest.TestReport, directory: Path, cam: Cam | None
) -> list[str]:
    if not found:
        return []
    # Imports torch, which a test that has evidence has done already.
    from pytest_cam.reporting.artifacts import write_artifact

    folders = item.stash.setdefault(_FOLDERS_KEY, [])
    test = id_of(item)
    context = {"test": test, "phase": report.when or "", "outcome": _outcome(report)}
    new = [directory / folder_name(test, number) for number in range(len(folders), len(folders) + len(found))]
    folders += new
    # One of which the pictures could not be drawn is not counted, and is kept all the same.
    report.cam_folders = [sendable(str(folder)) for folder in new]  # type: ignore[attr-defined]  # to the controller
    errors, written = [], []
    for folder, evidence in zip(new, found, strict=True):
        try:
            write_artifact(folder, evidence, context, item.config.stash.get(STYLE_KEY, Style()))
            written.append(sendable(str(folder)))
        except Exception as error:
            errors.append(_reason(item, error))
    if written:
        lines = [str(Path(folder) / "panel.png") for folder in written]
        if cam is not None and cam.journal.computed > len(found) > 1:
            lines.append(f"these are {len(found)} of the {cam.journal.computed} maps that the test computed")
        report.sections.append((f"pytest-cam: pictures ({context['outcome']})", "\n".join(lines)))
        report.cam_artifacts = written  # type: ignore[attr-defined]  # a plain list, the way to the controller
    return errors


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    return report.outcome


def _reason(item: pytest.Item, error: Exception) -> str:
    if isinstance(error, ArtifactError):
        return sendable(str(error))
    return sendable(f"pytest-cam could not record {item.nodeid}:\n{''.join(traceback.format_exception(error))}")


def _forget_earlier_attempt(item: pytest.Item) -> None:
    """Remove what an earlier attempt of a rerun test wrote: the last attempt is the one that counts."""
    folders = item.stash.get(_FOLDERS_KEY, [])
    for folder in folders:
        remove_artifact(folder)
    folders.clear()
