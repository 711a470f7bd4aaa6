"""A run that calibrates: limits are proposed, printed and written to their file by the process that ends it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_cam.columns import in_columns
from pytest_cam.errors import ArtifactError
from pytest_cam.reporting.attempts import Attempts
from pytest_cam.reporting.limits_file import Entry, write_limits
from pytest_cam.reporting.proposals import Proposal, key_of, propose, propose_over_parameters
from pytest_cam.reporting.run_tests import without_parameters
from pytest_cam.running import Agreed, CheckRecord, Key, is_in_ci, noted_id, sendable

_HEADS = ("check", "value", "present limit", "proposed limit", "energy by chance", "energy at best")


class Calibration:
    """Collects what reports say of checks, proposes limits and writes their file. A pytest plugin of its own.

    Args:
        path: The limits file.
        earlier: What it says already; the entries of tests that did not pass in this run are kept.
        margin: The share of the way from chance to ceiling that is left between value and limit.
        config: pytest's.
    """

    def __init__(self, path: Path, earlier: dict[Key, Entry], margin: float, config: pytest.Config) -> None:
        self._config = config
        self._path = path
        self._earlier = earlier
        self._margin = margin
        self._attempts = Attempts()
        # By the test that ran: an attempt that does not count takes back what it recorded.
        self._records: dict[str, dict[Key, CheckRecord]] = {}
        self._failed: set[str] = set()
        self._ended: set[str] = set()
        self._problem = ""
        self._said = ""

    def pytest_report_header(self) -> str:
        """Say before the tests that they are no gate."""
        return "pytest-cam: calibrating, limits of attention checks are recorded and not applied"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take over what a report says; the attributes are plain and survive xdist."""
        test = sendable(noted_id(report, self._config))
        if self._attempts.discard(report):
            self._records.pop(test, None)
            self._failed.discard(test)
            return
        if checks := getattr(report, "cam_checks", []):
            self._records.setdefault(test, {}).update((key_of(record), record) for record in checks)
        # What is expected to fail, or failed of another cause, says nothing of an accepted model.
        if not report.passed or hasattr(report, "wasxfail"):
            self._failed.add(test)
        # A test in which the run was stopped has told of some of its checks only.
        if report.when == "teardown":
            self._ended.add(test)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file; fail a run that calibrated nothing, and any where it could be taken for a gate."""
        if session.config.option.collectonly:
            return
        if not self._records:
            self._problem = "no attention check ran, so there is nothing to calibrate"
        else:
            self._write()
        if session.exitstatus == pytest.ExitCode.OK and (self._problem or is_in_ci()):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Print what is proposed, and that nothing was tested."""
        if config.option.collectonly:
            return
        terminalreporter.write_sep("=", "attention: calibration", yellow=True)
        for line in _table([_cells(proposal) for proposal in self._proposals()]):
            terminalreporter.write_line(line)
        if self._problem:
            terminalreporter.write_line(self._problem, red=True)
        if self._said:
            terminalreporter.write_line(self._said)
        no_gate = "limits were recorded and not applied: this run is no gate"
        if is_in_ci():
            no_gate += "; since CI is set it ends with an exit status other than 0"
        terminalreporter.write_line(no_gate, red=is_in_ci(), yellow=not is_in_ci())

    def _recorded(self) -> list[CheckRecord]:
        return [record for records in self._records.values() for record in records.values()]

    def _accepted(self) -> list[CheckRecord]:
        return sorted((record for record in self._recorded() if self._passed(record)), key=key_of)

    def _passed(self, record: CheckRecord) -> bool:
        return record["test"] in self._ended and record["test"] not in self._failed

    def _proposals(self) -> list[Proposal]:
        """Return one proposal for each number of each check, and one for each function with several parameters."""
        accepted = self._accepted()
        made = [propose(record, self._margin) for record in accepted]
        made += propose_over_parameters(accepted, self._margin)
        made += [_of_failed(record) for record in self._recorded() if not self._passed(record)]
        return sorted(made, key=lambda proposal: proposal.key)

    def _write(self) -> None:
        accepted = self._accepted()
        tests = {record["test"] for record in accepted}
        # Where only some of a function's parameters passed, the file knows more of all of them than this run does.
        functions = {record["function"] for record in accepted}
        others = {key.test for key in self._earlier} - tests
        partly = without_parameters(others)
        anew = tests | functions - partly
        proposed = {each.key: _entry(each) for each in self._proposals() if each.is_made}
        kept = {key: entry for key, entry in self._earlier.items() if key.test not in anew}
        try:
            write_limits(self._path, (proposed | kept).values())
        except ArtifactError as error:
            self._problem = str(error)
            return
        count = len(proposed.keys() - kept.keys())
        self._said = f"wrote {count} limit{'' if count == 1 else 's'} to {self._path}, margin {self._margin:g}"
        if kept:
            self._said += f"; kept {len(kept)} of tests that did not pass in this run"


def _entry(proposal: Proposal) -> Entry:
    told = (None if each is None else round(each, 4) for each in (proposal.value, proposal.chance, proposal.ceiling))
    return Entry(proposal.key, proposal.agreed, *told)


def _of_failed(record: CheckRecord) -> Proposal:
    return replace(propose(record, 0.0), agreed=Agreed(), reason="none: the test did not pass", is_weaker=False)


def _cells(proposal: Proposal) -> tuple[str, ...]:
    sides = (("at least", proposal.agreed.at_least), ("at most", proposal.agreed.at_most))
    proposed = " and ".join(f"{words} {limit:g}" for words, limit in sides if limit is not None)
    told = ", ".join(filter(None, (proposed, "WEAKER than now" if proposal.is_weaker else "", proposal.reason)))
    levels = ["" if level is None else f"{level:.2f}" for level in (proposal.chance, proposal.ceiling)]
    return (str(proposal.key), f"{proposal.value:.3f}", proposal.present, told, *levels)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return aligned lines, the heads first; none without a row."""
    if not rows:
        return []
    return in_columns([_HEADS, *rows])
