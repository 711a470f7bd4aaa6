"""The methods that other packages bring: functions, named as their entry points are.

This file imports the standard library only, so that names can be checked where nothing is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any

from pytest_cam.errors import CamError, MethodError, is_ours

__tracebackhide__ = is_ours

GROUP = "pytest_cam.methods"


@lru_cache(maxsize=1)
def entry_points() -> Mapping[str, tuple[metadata.EntryPoint, ...]]:
    """Return the entry points in the group, by their names."""
    found: dict[str, tuple[metadata.EntryPoint, ...]] = {}
    for point in metadata.entry_points(group=GROUP):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def described(point: metadata.EntryPoint) -> str:
    """Return which entry point it is: "the entry point package:function of package in the group pytest_cam.methods"."""
    owner = f" of {point.dist.name}" if point.dist is not None else ""
    return f"the entry point {point.value}{owner} in the group {GROUP}"


def loaded(point: metadata.EntryPoint) -> Callable[..., Any]:
    """Return what an entry point stands for.

    Raises:
        MethodError: It cannot be imported.
    """
    try:
        function: Callable[..., Any] = point.load()
        return function
    except CamError:
        raise
    except (Exception, SystemExit) as error:  # a script ends the run when it is imported
        raise MethodError(
            f"method {point.name!r}, {described(point)}, cannot be loaded: {type(error).__name__}: {error}"
        ) from error
