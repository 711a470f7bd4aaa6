"""pytest's hooks and fixtures, each handing on to the room that does the work.

This module imports the standard library and pytest only, so that the plugin costs nothing where it is not used.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cam import configured, hookspecs, options
from pytest_cam.baselines.claiming import CLAIMING
from pytest_cam.baselines.session import SESSION_KEY, BaselineSession, Turn, note
from pytest_cam.baselines.settings import settings_from, unused_from
from pytest_cam.engine.sharing import SHARING
from pytest_cam.errors import ArtifactError, CamError, SettingError
from pytest_cam.reporting.baselines_summary import BaselinesSummary
from pytest_cam.reporting.directory import DIRECTORY_KEY, directory_for, prepare_directory
from pytest_cam.reporting.limits_run import begin_limits, begin_test, note_checks
from pytest_cam.reporting.recorder import CAM_KEY, STYLE_KEY, RunSummary, record
from pytest_cam.running import RUNNING, Running

if TYPE_CHECKING:
    from pytest_cam.checks.bound import Cam

OUTER_SHARING_KEY = pytest.StashKey[bool]()
OUTER_RUNNING_KEY = pytest.StashKey[Running]()
OUTER_THREADS_KEY = pytest.StashKey[int]()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that a project may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare flags and ini keys."""
    options.add_to(parser)
    options.add_listing_to(parser)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print the explainable layers of a model instead of running tests, where `--cam-list-layers` asks for it."""
    place = config.getoption("--cam-list-layers")
    if place is None:
        return None
    from pytest_cam.reporting.listing import layers_table

    try:
        # As `pytest --version`: before there is a terminal reporter, and instead of a run.
        print(layers_table(place))
    except CamError as error:
        raise pytest.UsageError(str(error)) from None
    return 0


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", options.marker_line())
    # One process may run a session within a session; the inner one leaves the switch as it was.
    config.stash[OUTER_SHARING_KEY] = SHARING.is_on
    config.stash[OUTER_RUNNING_KEY] = replace(RUNNING)
    RUNNING.become(Running())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of what passes found, share none any more, and leave torch as it was."""
    SHARING.is_on = config.stash.get(OUTER_SHARING_KEY, False)
    RUNNING.become(config.stash.get(OUTER_RUNNING_KEY, Running()))
    if OUTER_THREADS_KEY in config.stash:
        sys.modules["torch"].set_num_threads(config.stash[OUTER_THREADS_KEY])
    kept = sys.modules.get("pytest_cam.engine.pass_cache")
    if kept is not None:
        kept.forget()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Try settings and the artifacts directory before any test runs, and before xdist starts its workers."""
    config = session.config
    configured.read_all(config)
    SHARING.is_on = not configured.from_config(config, "no-cache")
    try:
        _set_threads(config)
        begin_limits(config)
        config.stash[STYLE_KEY] = configured.style_from(config)
        configured.require_fill_in(config)
        baselines = config.stash[SESSION_KEY] = BaselineSession(settings_from(config))
        if not hasattr(config, "workerinput"):
            summary = BaselinesSummary(baselines, unused_from(config), configured.from_config(config, "prune"))
            config.pluginmanager.register(summary, "cam-baselines-summary")
        directory = directory_for(config)
        config.stash[DIRECTORY_KEY] = directory
        # Under xdist the controller answers for the run.
        if directory is None or hasattr(config, "workerinput"):
            return
        prepare_directory(directory)
    except (ArtifactError, SettingError) as error:
        raise pytest.UsageError(str(error)) from None
    # xdist hands its workers the options as they are now; a worker may run in another directory.
    config.option.cam_artifacts = str(directory)
    config.pluginmanager.register(RunSummary(directory), "cam-summary")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Reject unknown settings and methods: a collection error, so that it is seen under xdist too."""
    report = yield
    items = [item for item in report.result or [] if isinstance(item, pytest.Item)]
    problems = [f"{item.nodeid}: {problem}" for item in items for problem in configured.marker_problems(item)]
    if any("cam" in getattr(item, "fixturenames", ()) for item in items):
        problems += filter(None, [configured.method_problem(collector.config)])
    problems += _baselines_problems(collector, report)
    if problems:
        report.outcome = "failed"
        report.longrepr = "\n".join(problems)
        report.result = []
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that ends the run which tests of modules with baselines there are."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None and SESSION_KEY in session.config.stash:
        output["cam_baselines"] = session.config.stash[SESSION_KEY].modules


@pytest.fixture
def cam_preprocess() -> Any:
    """How an RGB PIL image becomes the model's input. Override it: `return weights.transforms()`."""
    return None


@pytest.fixture
def cam_class_names() -> Any:
    """The names of the model's classes. Override it: `return ResNet50_Weights.DEFAULT`, or a list of names."""
    return None


@pytest.fixture
def cam_device(pytestconfig: pytest.Config) -> Any:
    """The device from `--cam-device` or the ini key, or None. For the fixture that makes the model."""
    return configured.from_config(pytestconfig, "device")


@pytest.fixture
def cam(request: pytest.FixtureRequest, cam_preprocess: Any, cam_class_names: Any, cam_device: Any) -> Iterator[Cam]:
    """The verbs of pytest-cam with this test's settings: `cam(model, img)`, `cam.assert_attention_in_region(...)`."""
    from pytest_cam.checks.bound import Cam

    # Collection has seen the markers of the source; a hook or a fixture may have added others since.
    if problems := configured.marker_problems(request.node):
        raise SettingError("; ".join(problems))
    fixtures = {"preprocess": cam_preprocess, "class_names": cam_class_names, "device": cam_device}
    settings = {name: _setting(request.config, name, fixtures) for name in options.MARKER_KEYS}
    bound = Cam(lambda: settings | configured.from_markers(request.node))
    request.node.stash[CAM_KEY] = bound
    yield bound
    bound.hooks.remove_all()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test's baselines be found while it runs, in all of its attempts."""
    with Turn(item):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Count the tests, for the cache of passes, say which one runs, and let one that is run again start anew."""
    SHARING.test += 1
    begin_test(item)
    if CLAIMING.test is not None:
        CLAIMING.test.begin_attempt()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note the hooks that the models within a test's reach have when the test itself begins."""
    cam = item.stash.get(CAM_KEY, None)
    if cam is not None:
        for owner in (getattr(item, name, None) for name in ("module", "cls", "instance")):
            cam.watch.see_all(getattr(owner, "__dict__", {}))
        cam.watch.see_all(getattr(item, "funcargs", {}))
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
    record(item, call, report)
    note(item, report)
    note_checks(call, report)
    if call.when == "teardown" and CAM_KEY in item.stash:
        del item.stash[CAM_KEY]
    return report


def _setting(config: pytest.Config, name: str, fixtures: dict[str, Any]) -> Any:
    """Return a setting where neither a call nor a marker gives it."""
    setting = options.setting_named(name)
    value = fixtures[name] if setting.fixture else None
    if value is None and setting.metavar:
        value = configured.from_config(config, name)
    return setting.builtin if value is None else value


def _baselines_problems(collector: pytest.Collector, report: pytest.CollectReport) -> list[str]:
    session = collector.config.stash.get(SESSION_KEY, None)
    if session is not None and report.passed:
        try:
            session.see(collector, report.result)
        except CamError as error:
            return [str(error)]
    return []


def _set_threads(config: pytest.Config) -> None:
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    threads = configured.threads_from(config, workers)
    # What only hands out tests to workers computes nothing, and need not wait for torch.
    hands_out = config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput")
    if threads is None or hands_out or (workers == 1 and configured.from_config(config, "threads") == "auto"):
        return
    import torch

    config.stash[OUTER_THREADS_KEY] = torch.get_num_threads()
    torch.set_num_threads(threads)


def _settle(item: pytest.Item) -> None:
    __tracebackhide__ = True
    cam = item.stash.get(CAM_KEY, None)
    if cam is not None:
        cam.watch.settle()
