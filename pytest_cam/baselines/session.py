"""What one process of a run knows of baselines: its settings, its tests, and who claims what.

Standard library and pytest only. What is known travels to the process that ends the run as builtins: on reports what
a test claims and did, and at a worker's end which tests there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pytest_cam.baselines.claiming import BaselineSettings, Claims, RunningTest, variant_from
from pytest_cam.baselines.gone import Leftovers
from pytest_cam.baselines.keys import module_directory
from pytest_cam.baselines.settings import settings_from
from pytest_cam.running import plain_id, sendable, unrepeated

_SESSION_KEY = pytest.StashKey["BaselineSession"]()
_TEST_KEY = pytest.StashKey[RunningTest]()


class BaselineSession:
    """What one process of a run knows of baselines.

    Args:
        settings: What the run says of them.

    Attributes:
        modules: The test modules that have baselines, by their file: the variant of baselines there, and which tests
            the module has, with each class that was not looked into.
        places: Where there are baselines, of whatever modules: the directories that hold the directory of them.
    """

    def __init__(self, settings: BaselineSettings) -> None:
        self.settings = settings
        self.modules: dict[str, dict[str, Any]] = {}
        self.places: dict[str, None] = {}
        self._claims = Claims()
        self._leftovers = Leftovers()

    def see(self, collector: pytest.Collector, children: Iterable[pytest.Item | pytest.Collector]) -> None:
        """Write down which tests a module with baselines has, or that there are baselines in a directory of modules.

        Raises:
            BaselineError: The project's hook gives a variant that there cannot be.
        """
        if isinstance(collector, pytest.Directory):
            self.places[sendable(str(collector.path))] = None
        module = _module(collector)
        if module is None:
            return
        directory = module_directory(module.path, self.settings.directory)
        if not directory.is_dir():
            return
        known = self.modules.setdefault(
            sendable(str(module.path)),
            {"directory": sendable(str(directory)), "variant": variant_from(_asked(module)), "tests": {}},
        )
        if collector is not module:
            known["tests"].pop(sendable(_name(collector)), None)
        known["tests"].update((sendable(_name(child)), None) for child in children)

    def test_of(self, item: pytest.Item) -> RunningTest:
        """Return a test as far as baselines are concerned."""
        test = item.stash.get(_TEST_KEY, None)
        if test is None:
            test = item.stash[_TEST_KEY] = RunningTest(
                nodeid=unrepeated(plain_id(item.nodeid, item.config), item),
                module=item.path,
                name=_name(item),
                settings=self.settings,
                ask_variant=lambda: _asked(item),
                claims=self._claims,
                leftovers=self._leftovers,
                tests=self.modules.get(sendable(str(item.path)), {}).get("tests", ()),
            )
        return test


def note(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put on a report what its test claims and did since its last report. Never raises: these are plain texts."""
    session = item.config.stash.get(_SESSION_KEY, None)
    if session is None:
        return
    test = session.test_of(item)
    if not test.claimed and not test.notes and sendable(str(test.module)) not in session.modules:
        return
    report.cam_baselines = {  # type: ignore[attr-defined]  # builtins, the way to the process that ends the run
        "module": sendable(str(test.module)),
        "test": sendable(test.name),
        "nodeid": sendable(test.nodeid),
        "claimed": [sendable(str(path)) for path in test.claimed],
        "notes": [[sendable(text) for text in texts] for texts in test.notes],
    }
    test.claimed, test.notes = [], []


def session_of(config: pytest.Config) -> BaselineSession:
    """Return what this process of a run knows of baselines.

    Raises:
        SettingError: A setting of baselines has a value that there is not, or is refused here.
    """
    session = config.stash.get(_SESSION_KEY, None)
    if session is None:
        session = config.stash[_SESSION_KEY] = BaselineSession(settings_from(config))
    return session


def begin_attempt(item: pytest.Item) -> None:
    """Forget what an earlier attempt of a test claims; a rerun claims it again."""
    session = item.config.stash.get(_SESSION_KEY, None)
    if session is not None:
        session.test_of(item).begin_attempt()


def seen(config: pytest.Config) -> dict[str, Any]:
    """Return the modules and places with baselines that this process has found, as builtins; empty without any."""
    session = config.stash.get(_SESSION_KEY, None)
    if session is None or not (session.modules or session.places):
        return {}
    return {"modules": session.modules, "places": list(session.places)}


def _module(node: pytest.Item | pytest.Collector) -> pytest.File | None:
    files = [parent for parent in node.listchain() if isinstance(parent, pytest.File)]
    return files[-1] if files else None


def _name(node: pytest.Item | pytest.Collector) -> str:
    # Not the node id: that depends on the root, and pytest-xdist may add the name of a group to it.
    chain = node.listchain()
    files = [index for index, parent in enumerate(chain) if isinstance(parent, pytest.File)]
    return "::".join(unrepeated(part.name, part) for part in chain[files[-1] + 1 if files else -1 :])


def _asked(node: pytest.Item | pytest.Collector) -> object:
    return node.ihook.pytest_cam_baseline_variant(config=node.config)
