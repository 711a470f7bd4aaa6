"""Whether a function that comes again under a name is the one that had it before."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pytest_cam.engine.named import closure_of


def is_same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Return whether two functions are one, which may have been made anew: in a second import, in a notebook's cell.

    Args:
        one: The function that came first.
        other: The one that came later.
    """
    if one is other:
        return True
    if None in _origin(one) or _origin(one) != _origin(other):
        return False
    # An import and a run of a cell compile it anew. Where its code is the same object, a function has made it twice.
    code = _code_of(one)
    return code is None or code is not _code_of(other) or _are_equal(_held_by(one), _held_by(other))


def _origin(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the module, the name and the place of a function; two directories may each have a module conftest."""
    code = _code_of(function)
    place = getattr(code, "co_filename", None), getattr(code, "co_firstlineno", None)
    module = getattr(function, "__module__", None)
    # A notebook gives each version of a cell a file of its own, and its lines move.
    return module, getattr(function, "__qualname__", None), *(() if module == "__main__" else place)


def _code_of(function: Callable[..., Any]) -> Any:
    return getattr(inspect.unwrap(function), "__code__", None)


def _held_by(function: Callable[..., Any]) -> list[Any]:
    """Return what a function has beside its code: what its closure holds, its defaults, and whose method it is."""
    inner: Any = inspect.unwrap(function)
    return [closure_of(inner), inner.__defaults__, inner.__kwdefaults__, getattr(inner, "__self__", None)]


def _are_equal(before: list[Any], now: list[Any]) -> bool:
    try:
        return bool(before == now)
    except Exception:  # tensors and arrays that are other ones have no one truth
        return False
