"""pytest's hooks and fixtures, each handing on to the room that does the work.

Most runs have nothing to do with attention, and pay for each module that is imported here. So only what declares the
settings is; the rooms are imported where a run says something of theirs, or a test comes to them.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cam import hookspecs, options
from pytest_cam.running import CLAIMING, RUNNING, SHARING, Running, begin_test, fixture_of_several, note_id, sendable

if TYPE_CHECKING:
    from pytest_cam.baselines.claiming import RunningTest
    from pytest_cam.checks.bound import Cam
    from pytest_cam.reporting.baselines_summary import BaselinesSummary

CAM_KEY: pytest.StashKey[Cam] = pytest.StashKey()
OUTER_SHARING_KEY = pytest.StashKey[bool]()
OUTER_RUNNING_KEY = pytest.StashKey[Running]()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that a project may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare flags and ini keys."""
    options.add_to(parser)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print the explainable layers of a model instead of running tests, where `--cam-list-layers` asks for it."""
    place = config.getoption("--cam-list-layers")
    if place is None:
        return None
    from pytest_cam.errors import CamError
    from pytest_cam.reporting.listing import layers_table

    try:
        # As `pytest --version`: before there is a terminal reporter, and instead of a run.
        sys.stdout.write(f"{sendable(layers_table(place), sys.stdout.encoding)}\n")
    except CamError as error:
        raise pytest.UsageError(str(error)) from None
    return 0


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", options.marker_line())
    # One process may run a session within a session; the inner one leaves the switch as it was.
    config.stash[OUTER_SHARING_KEY] = SHARING.is_on
    config.stash[OUTER_RUNNING_KEY] = copy.copy(RUNNING)
    RUNNING.become(Running())
    config.pluginmanager.register(_Listener(config), "cam-listener")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of what passes found, and share none any more."""
    SHARING.is_on = config.stash.get(OUTER_SHARING_KEY, False)
    RUNNING.become(config.stash.get(OUTER_RUNNING_KEY, Running()))
    kept = sys.modules.get("pytest_cam.engine.cache.pass_cache")
    if kept is not None:
        kept.forget()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Try settings and the artifacts directory before any test runs, and before xdist starts its workers."""
    said = options.said_in(session.config)
    SHARING.is_on = "no-cache" not in said
    is_shown = getattr(session.config.pluginmanager.getplugin("terminalreporter"), "isatty", False)
    if is_shown and session.config.getoption("capture", "no") != "no":
        RUNNING.see_terminal(session.config.get_terminal_writer())
    if said - {"no-cache"}:
        from pytest_cam.reporting.run_start import begin_run

        begin_run(session.config)


class _Listener:
    """Brings in what tells of baselines when a report or a worker says something of them for the first time."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hand on what a report says."""
        if hasattr(report, "cam_baselines") and (summary := self._new_summary()):
            summary.pytest_runtest_logreport(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hand on what a worker says at its end."""
        if getattr(node, "workeroutput", {}).get("cam_baselines") and (summary := self._new_summary()):
            summary.pytest_testnodedown(node)

    def _new_summary(self) -> BaselinesSummary | None:
        from pytest_cam.reporting.baselines_summary import begin_summary

        return begin_summary(self._config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Reject unknown settings and methods: a collection error, so that it is seen under xdist too."""
    report = yield
    items = [item for item in report.result or [] if isinstance(item, pytest.Item)]
    problems = []
    if any(item.get_closest_marker("cam") for item in items):
        from pytest_cam.configured import marker_problems

        problems += [f"{item.nodeid}: {problem}" for item in items for problem in marker_problems(item)]
    if any("cam" in getattr(item, "fixturenames", ()) for item in items):
        from pytest_cam.configured import method_problems

        problems += method_problems(collector.config)
    problems += _baselines_problems(collector, report)
    if problems:
        report.outcome = "failed"
        report.longrepr = "\n".join(problems)
        report.result = []
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that ends the run which tests of modules with baselines there are."""
    output, baselines = getattr(session.config, "workeroutput", None), _baselines()
    if output is not None and baselines is not None:
        output["cam_baselines"] = baselines.seen(session.config)


@pytest.fixture
def cam_preprocess() -> Any:
    """How an RGB PIL image becomes the model's input. Override it: `return weights.transforms()`."""
    return None


@pytest.fixture
def cam_class_names() -> Any:
    """The names of the model's classes. Override it: `return ResNet50_Weights.DEFAULT`, or a list of names."""
    return None


@pytest.fixture(scope="session")
def cam_device(pytestconfig: pytest.Config) -> Any:
    """The device from `--cam-device` or the ini key, or None. For the fixture that makes the model."""
    return options.from_config(pytestconfig, "device")


@pytest.fixture
def cam(request: pytest.FixtureRequest, cam_preprocess: Any, cam_class_names: Any, cam_device: Any) -> Iterator[Cam]:
    """The verbs of pytest-cam with this test's settings: `cam(model, img)`, `cam.assert_attention_in_region(...)`."""
    from pytest_cam.checks.bound import Cam
    from pytest_cam.configured import from_markers, marker_problems, setting_for
    from pytest_cam.errors import SettingError

    # Collection has seen the markers of the source; a hook or a fixture may have added others since.
    if problems := marker_problems(request.node):
        raise SettingError("; ".join(problems))
    fixtures = {"preprocess": cam_preprocess, "class_names": cam_class_names, "device": cam_device}
    settings = {name: setting_for(request.config, name, fixtures) for name in options.MARKER_KEYS}
    bound = Cam(lambda: settings | from_markers(request.node))
    request.node.stash[CAM_KEY] = bound
    yield bound
    bound.hooks.remove_all()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test's baselines be found while it runs, in all of its attempts."""
    outer, CLAIMING.claimant = CLAIMING.claimant, lambda: _claimant(item)
    try:
        return (yield)
    finally:
        CLAIMING.claimant = outer


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Count the tests, for the cache of passes, say which one runs, and let one that is run again start anew."""
    SHARING.test += 1
    begin_test(item)
    if (baselines := _baselines()) is not None:
        baselines.begin_attempt(item)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Take what a fixture of several tests checks for no test's own: first and last depend on order and workers."""
    if fixturedef.scope != "function":
        with fixture_of_several(request):
            return (yield)
    made = yield
    if fixturedef.argname == "subtests":  # a test may ask for it while it runs
        from pytest_cam.subtests import tell_of_fixture

        tell_of_fixture(made)
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note the hooks that the models within a test's reach have when the test itself begins; see its subtests."""
    cam = item.stash.get(CAM_KEY, None)
    if cam is not None:
        cam.watch.see_reached_by(item)
    if hasattr(getattr(item, "instance", None), "subTest"):
        from pytest_cam.subtests import tell_of_unittest

        tell_of_unittest(item)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Name the hooks that are left when every fixture of the test has been torn down, and fail the test for them."""
    __tracebackhide__ = True
    try:
        result = yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise  # these end the run; an error of ours in their place would let it go on
    except BaseException:
        _settle(item)
        raise
    _settle(item)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Save the evidence that a failure carries."""
    report = yield
    note_id(item, report)
    recorder, baselines = sys.modules.get("pytest_cam.reporting.recorder"), _baselines()
    if recorder is not None:
        recorder.record(item, call, report, item.stash.get(CAM_KEY, None))
    if baselines is not None:
        baselines.note(item, report)
    if RUNNING.records or RUNNING.asked:
        from pytest_cam.reporting.limits_run import note_checks

        note_checks(report)
    if call.excinfo is not None and (errors := sys.modules.get("pytest_cam.errors")) is not None:
        errors.end_at_users_line(call.excinfo, report.longrepr)
    if call.when == "teardown":
        RUNNING.end()
        if CAM_KEY in item.stash:
            item.stash[CAM_KEY].journal.forget()
            del item.stash[CAM_KEY]
    return report


def _baselines_problems(collector: pytest.Collector, report: pytest.CollectReport) -> list[str]:
    name = options.held_in(collector.config, "baselines")
    beside = collector.path if isinstance(collector, pytest.Directory) else collector.path.parent
    if not report.passed or not (beside / name).is_dir():
        return []
    from pytest_cam.baselines.session import session_of
    from pytest_cam.errors import CamError
    from pytest_cam.reporting.baselines_summary import begin_summary

    try:
        begin_summary(collector.config)
        session_of(collector.config).see(collector, report.result)
    except CamError as error:
        return [str(error)]
    return []


def _baselines() -> Any:
    """Return the room that knows of baselines, or None where nothing has come to it yet."""
    return sys.modules.get("pytest_cam.baselines.session")


def _claimant(item: pytest.Item) -> RunningTest:
    from pytest_cam.baselines.session import session_of

    return session_of(item.config).test_of(item)


def _settle(item: pytest.Item) -> None:
    __tracebackhide__ = True
    if (cam := item.stash.get(CAM_KEY, None)) is not None:
        cam.watch.settle()
