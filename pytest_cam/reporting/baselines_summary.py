"""What the process that ends a run says of baselines: what was written, claimed twice, and not claimed at all."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_cam.baselines.claiming import shown, two_claims
from pytest_cam.baselines.gone import baselines_of_gone_modules, owner
from pytest_cam.baselines.keys import baselines_in, file_name, picture_of
from pytest_cam.baselines.session import BaselineSession, seen, session_of
from pytest_cam.baselines.settings import unused_from
from pytest_cam.options import from_config
from pytest_cam.reporting.attempts import Attempts
from pytest_cam.reporting.run_tests import RunTests

_NAME = "cam-baselines-summary"


@dataclass
class _Outcome:
    passed: bool = True
    called: bool = False
    ended: bool = False


@dataclass
class _Module:
    directory: Path
    variant: str | None
    tests: set[str] = field(default_factory=set)


class BaselinesSummary:
    """Collects, on the process that ends the run, what reports and workers say of baselines. A pytest plugin.

    Args:
        session: What this process knows, which is all where it runs the tests itself.
        unused: What is done about baselines that no test claims: "off", "warn" or "error".
        prune: Whether those are deleted.
    """

    def __init__(self, session: BaselineSession, unused: str, prune: bool) -> None:
        self._session, self._unused, self._prune = session, unused, prune
        self._start = session.settings.start
        self._told: dict[str, list[list[str]]] = {}
        self._owners: dict[str, set[str]] = {}
        self._attempts = Attempts()
        # By the file of the module and the test in it.
        self._outcomes: dict[str, dict[str, _Outcome]] = {}
        self._modules: dict[str, _Module] = {}
        self._places: set[str] = set()
        self._orphans: list[Path] = []
        self._problems: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take over what a report says; the attributes are builtins and survive xdist."""
        is_discarded = self._attempts.discard(report)
        said: dict[str, Any] | None = getattr(report, "cam_baselines", None)
        if said is None:
            return
        for path in said["claimed"]:
            self._owners.setdefault(path, set()).add(said["nodeid"])
        for name, what, why in said["notes"]:
            told = self._told.setdefault(name, [])
            if [what, why] not in told:
                told.append([what, why])
        outcomes = self._outcomes.setdefault(said["module"], {})
        if is_discarded:
            outcomes.pop(said["test"], None)
            return
        outcome = outcomes.setdefault(said["test"], _Outcome())
        # What is expected to fail may end before it claims anything.
        outcome.passed &= report.outcome == "passed" and not hasattr(report, "wasxfail")
        outcome.called |= report.when == "call"
        outcome.ended |= report.when == "teardown"

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over which tests a worker has found; one that crashed says nothing."""
        self._take(getattr(node, "workeroutput", {}).get("cam_baselines", {}))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge the run by its baselines, even if its tests passed."""
        self._take(seen(session.config))
        claimed_twice = sorted((path, sorted(tests)) for path, tests in self._owners.items() if len(tests) > 1)
        self._problems += [two_claims(shown(Path(path), self._start), *tests[:2]) for path, tests in claimed_twice]
        if self._unused != "off" or self._prune:
            covered = _directories_asked_for(session.config)
            self._orphans = [
                path for file, module in sorted(self._modules.items()) for path in self._found(file, module, covered)
            ] + self._of_gone_modules(covered)
        if self._prune:
            self._delete()
        fails = bool(self._problems) or (self._unused == "error" and bool(self._orphans) and not self._prune)
        if fails and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List each baseline that was written, and those that no test claims."""
        lines = [
            f"{what} {name}{f': {why}' if why else ''}" for name in sorted(self._told) for what, why in self._told[name]
        ]
        if lines:
            terminalreporter.write_sep("-", "attention baselines")
            for line in lines:
                terminalreporter.write_line(line)
        if self._orphans:
            red = self._unused == "error" and not self._prune
            count = len(self._orphans)
            what = "deleted" if self._prune else "found"
            which = "baseline that no test claims" if count == 1 else "baselines that no test claims"
            terminalreporter.write_sep("!" if red else "-", f"attention: {what} {count} {which}", red=red)
            for path in self._orphans:
                terminalreporter.write_line(shown(path, self._start), red=red)
            if not self._prune:
                terminalreporter.write_line("--cam-prune deletes them, and nothing else", red=red)
        if self._problems:
            terminalreporter.write_sep("!", "attention: baselines failed", red=True)
            for problem in self._problems:
                terminalreporter.write_line(problem, red=True)

    def _take(self, found: dict[str, Any]) -> None:
        self._places |= set(found.get("places", ()))
        for file, said in found.get("modules", {}).items():
            module = self._modules.setdefault(file, _Module(Path(said["directory"]), said["variant"]))
            module.tests |= set(said["tests"])

    def _found(self, file: str, module: _Module, covered: list[Path]) -> list[Path]:
        """Return the baselines of a module that no test claims, where the module ran as a whole."""
        outcomes = self._outcomes.get(file, {})
        # What has no test any more ran where the run was asked for its directory, as what is gone.
        is_asked_for = bool(module.tests) or any(map(Path(file).is_relative_to, covered))
        if not is_asked_for or not all(test in outcomes and outcomes[test].ended for test in module.tests):
            return []
        # Another file with the same stem, such as a doctest, has its own in the same directory; one that is damaged
        # does not say whose it is.
        owners = (Path(file).name, "") if module.tests else (Path(file).name,)
        unclaimed = [
            path
            for path in baselines_in(module.directory, module.variant)
            if str(path) not in self._owners and owner(path)[0] in owners
        ]
        # A test that did not get to its end may not have got to its claim; with --setup-only none does.
        waiting = {test for test, outcome in outcomes.items() if not (outcome.passed and outcome.called)}
        if not waiting:
            return unclaimed
        unfinished = RunTests(waiting)
        return [path for path in unclaimed if not _may_be_of(path, unfinished, file, module.variant)]

    def _of_gone_modules(self, covered: list[Path]) -> list[Path]:
        """Return the baselines of modules that are no longer there, in the directories that the run was asked for."""
        name = self._session.settings.directory
        places = [place for place in sorted(map(Path, self._places)) if any(map(place.is_relative_to, covered))]
        found = (path for place in places for path in baselines_of_gone_modules(place, name))
        return [path for path in found if str(path) not in self._owners]

    def _delete(self) -> None:
        left = set()
        for path in self._orphans:
            try:
                # The picture first: where it cannot be deleted, the next run finds the baseline, and tries again.
                picture_of(path).unlink(missing_ok=True)
                path.unlink()
            except OSError as error:
                self._problems.append(f"{shown(path, self._start)} could not be deleted ({error.strerror or error})")
                left.add(path)
        for directory in {path.parent for path in self._orphans}:
            with suppress(OSError):  # something else is in it
                directory.rmdir()
                directory.parent.rmdir()
        self._orphans = [path for path in self._orphans if path not in left]


def begin_summary(config: pytest.Config) -> BaselinesSummary | None:
    """Let a run's end say what there is to say of baselines.

    Returns:
        What listens from now on; None where something does already, or this process does not end the run.

    Raises:
        SettingError: A setting of baselines has a value that there is not, or is refused here.
    """
    if hasattr(config, "workerinput") or config.pluginmanager.has_plugin(_NAME):
        return None
    summary = BaselinesSummary(session_of(config), unused_from(config), from_config(config, "prune"))
    config.pluginmanager.register(summary, _NAME)
    return summary


def _may_be_of(path: Path, tests: RunTests, file: str, variant: str | None) -> bool:
    """Return whether one of these tests of a module may claim a baseline: its own, or any that has a name."""
    test = owner(path)[1]
    return tests.include(test) or path.name != file_name(Path(file), test, None, variant)


def _directories_asked_for(config: pytest.Config) -> list[Path]:
    """Return the directories that the run was to cover; none where it was for some of their tests, or for no test."""
    if config.option.keyword or config.option.collectonly or getattr(config.option, "lf", False):
        return []
    asked = [Path(os.path.abspath(config.invocation_params.dir / argument)) for argument in config.args]
    return [path for path in asked if path.is_dir()]
