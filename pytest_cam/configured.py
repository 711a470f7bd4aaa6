"""What the command line, the ini file and markers say of the settings, read and checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from pytest_cam.engine.methods import contested_names, method_named
from pytest_cam.errors import CamError, SettingError, nearest
from pytest_cam.images.fills import require_fill
from pytest_cam.images.style import Style
from pytest_cam.options import MARKER_KEYS, from_config, given_by, held_in, setting_named

# More than machines have cores; torch would take any number, and the machine would not.
MOST_THREADS = 1024


def marker_problems(node: pytest.Item) -> list[str]:
    """Return what is wrong with the `cam` markers of a test, its class and its module."""
    found = (_problem(mark) for mark in node.iter_markers("cam"))
    return [problem for problem in found if problem is not None]


def method_problems(config: pytest.Config) -> list[str]:
    """Return what is wrong with the method of the command line or the ini file, and with the names of entry points.

    A method may be registered in the conftest of a subdirectory, so it is asked for when tests have been collected.
    """
    name: str | None = from_config(config, "method")
    problem = _complaint(method_named, name)
    said = [] if problem is None else [f"--cam-method, or cam_method of the ini file: {problem}"]
    contested = [_complaint(method_named, other) for other in contested_names() if other != name]
    return said + [problem for problem in contested if problem is not None]


def threads_from(config: pytest.Config, workers: int) -> int | None:
    """Return how many threads torch is to use in this process, or None where it is left as it is.

    Args:
        config: Where the setting is.
        workers: How many processes run tests beside each other.

    Raises:
        SettingError: The setting is neither a number from 1 nor "auto".
    """
    given = from_config(config, "threads")
    if given is None:
        return None
    if given == "auto":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, cores // workers)
    # A text of very many digits is no number to Python.
    if not str(given).isdecimal() or len(given) > 9 or not 1 <= int(given) <= MOST_THREADS:
        raise SettingError(
            f"{given_by(config, 'threads')} is {given!r}; accepted: a number from 1 to {MOST_THREADS}, or 'auto'"
        )
    return int(given)


def style_from(config: pytest.Config) -> Style:
    """Return how maps are drawn.

    Raises:
        SettingError: A setting has a value that there is not.
    """
    names = ("colormap", "alpha", "normalization")
    # Texts, which Style checks and converts.
    given: dict[str, Any] = {name: value for name in names if (value := from_config(config, name)) is not None}
    for name, value in given.items():
        try:
            Style(**{name: value})
        except SettingError as error:
            raise _wrong(name, str(error)) from None
    return Style(**given)


def require_fill_in(config: pytest.Config) -> None:
    """Check the fill of the command line or the ini file.

    Raises:
        SettingError: There is no such fill.
    """
    if problem := _complaint(require_fill, from_config(config, "fill")):
        raise _wrong("fill", problem)


def _wrong(name: str, problem: str) -> SettingError:
    return SettingError(f"--cam-{name}, or cam_{name} of the ini file: {problem}")


def setting_for(config: pytest.Config, name: str, fixtures: dict[str, Any]) -> Any:
    """Return a setting where neither a call nor a marker gives it.

    Args:
        config: Where the command line and the ini file are.
        name: The setting.
        fixtures: What the project's fixtures return, by the names of settings.
    """
    setting = setting_named(name)
    value = fixtures[name] if setting.fixture else None
    return held_in(config, name) if value is None and setting.metavar else value


def from_markers(item: pytest.Item) -> dict[str, Any]:
    """Return the settings of a test's `cam` markers, each from the closest one that has it."""
    found: dict[str, Any] = {}
    for mark in (mark for node in reversed(item.listchain()) for mark in _closest_first(node)):
        said = {name: value for name, value in mark.kwargs.items() if name in MARKER_KEYS and value is not None}
        found = said | found
    return found


def _closest_first(node: Any) -> list[pytest.Mark]:
    """Return the `cam` markers of a node itself; of a class those of its bases last, which pytest lists first."""
    marks = [mark for mark in node.own_markers if mark.name == "cam"]
    if marks and isinstance(node, pytest.Class):
        held = [vars(kind).get("pytestmark", []) for kind in node.obj.__mro__]
        order = [getattr(mark, "mark", mark) for each in held for mark in (each if isinstance(each, list) else [each])]
        marks.sort(key=lambda mark: order.index(mark) if mark in order else -1)
    return marks


def _problem(mark: pytest.Mark) -> str | None:
    if mark.args:
        given = ", ".join(map(repr, mark.args))
        return f"@pytest.mark.cam takes keywords only, and was given {given}. Accepted: {', '.join(MARKER_KEYS)}."
    for key in mark.kwargs:
        if key not in MARKER_KEYS:
            return f"@pytest.mark.cam has no setting {key!r}. {nearest(key, MARKER_KEYS)}"
    methods = mark.kwargs.get("method")
    for method in methods if isinstance(methods, (list, tuple)) else [methods]:
        if problem := _complaint(method_named, method):
            return f"@pytest.mark.cam(method={methods!r}): {problem}"
    fill = mark.kwargs.get("fill")
    problem = _complaint(require_fill, fill)
    return None if problem is None else f"@pytest.mark.cam(fill={fill!r}): {problem}"


def _complaint(check: Callable[[Any], object], given: Any) -> str | None:
    """Return what a check says of what was given, or None where it, or nothing, is accepted."""
    if given is None:
        return None
    try:
        check(given)
    except CamError as error:
        return str(error)
    return None
