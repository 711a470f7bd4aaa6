"""Which entries of the limits file the checks of a run asked for, so that none is ignored in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_cam.reporting.attempts import Attempts
from pytest_cam.reporting.run_tests import RunTests, without_parameters
from pytest_cam.running import Key, id_of, noted_id, sendable


class AskedLimits:
    """Finds entries of checks that exist no more. A pytest plugin of its own, on every process of the run.

    Args:
        keys: The entries.
        source: What the file is called.
        config: pytest's.
    """

    def __init__(self, keys: list[Key], source: str, config: pytest.Config) -> None:
        self._config = config
        self._keys = keys
        self._source = source
        self._attempts = Attempts()
        # By the test that ran: an attempt that does not count takes back what it asked for.
        self._asked: dict[str, set[Key]] = {}
        self._passed: set[str] = set()
        self._unfinished: set[str] = set()
        self._ended: set[str] = set()
        self._gone: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Look, before any is deselected, for entries whose file was collected and whose test was not."""
        if any("::" in argument for argument in config.args) or getattr(config.option, "lf", False):
            return  # only some of a file's tests were collected
        tests = {sendable(id_of(item)) for item in items}
        files = {_file(test) for test in tests}
        known = {key.test for key in self._keys if _file(key.test) in files}
        collected = RunTests(tests)
        self._gone = {test for test in known if not collected.include(test)}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take over what a report says; the attributes are plain and survive xdist."""
        test = sendable(noted_id(report, self._config))
        if self._attempts.discard(report):
            self._asked.pop(test, None)
            self._unfinished.discard(test)
            return
        self._asked.setdefault(test, set()).update(Key(*key) for key in getattr(report, "cam_limits_asked", []))
        if report.when == "call" and report.passed:
            self._passed.add(test)
        if not report.passed or hasattr(report, "wasxfail"):
            self._unfinished.add(test)
        if report.when == "teardown":  # a subtest that passes is not yet the whole test
            self._ended.add(test)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the controller what a worker found at collection."""
        output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["cam_limits_gone"] = sorted(self._gone)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear from a worker what it found at collection; one that crashed says nothing."""
        self._gone |= set(getattr(node, "workeroutput", {}).get("cam_limits_gone", []))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Name the entries of checks that exist no more, and count those of tests that did not run."""
        asked = set().union(*self._asked.values())
        waiting = [key for key in sorted(self._keys) if key not in asked]
        if not waiting or config.option.collectonly:
            return
        stale = self._stale(waiting, asked, config.rootpath)
        terminalreporter.write_sep("-", f"attention: limits in {self._source}", yellow=bool(stale))
        for key, reason in stale.items():
            terminalreporter.write_line(f"no check asked for {key}: {reason}", yellow=True)
        if stale:
            terminalreporter.write_line(f"remove what is no longer meant from {self._source}", yellow=True)
        if others := len(waiting) - len(stale):
            terminalreporter.write_line(f"{others} of {len(self._keys)} limits are of tests that did not run through")

    def _stale(self, waiting: list[Key], asked: set[Key], root: Path) -> dict[Key, str]:
        """Return, of the entries that no check asked for, those of checks that exist no more, and why."""
        complete = self._passed & self._ended - self._unfinished
        # An entry without parameters stands for all of them.
        ran = complete | without_parameters(complete)
        files = {file for file in {_file(key.test) for key in waiting} if (root / file).exists()}
        metrics: dict[tuple[str, int, str], list[str]] = {}
        for key in sorted(asked):
            metrics.setdefault(key[:3], []).append(key.metric)
        stale = {}
        for key in waiting:
            if key.test in self._gone or _file(key.test) not in files:
                stale[key] = "there is no such test"
            elif key.test in ran:
                # A baseline, for one, is held to other numbers where the model was trained again.
                others = metrics.get(key[:3])
                stale[key] = f"that check asked for {', '.join(others)}" if others else "its test has no such check"
        return stale


def _file(test: str) -> str:
    return test.partition("::")[0]
