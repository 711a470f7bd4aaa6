"""Whether a function that comes again under a name is the one that had it before."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from pytest_cam.engine.model.named import closure_of

# The equality of objects whose class gives them none: each equals itself alone.
_OF_EACH: Any = object.__eq__


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
    code, now = _code_of(one), _code_of(other)
    if code is None or now is None:
        return True
    if code is now:
        return _are_alike(one, other, {})
    return _line_of(one) == _line_of(other) or _has_moved(code, now)


def _origin(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the module, the name and the file of a function; two directories may each have a module conftest."""
    module = getattr(function, "__module__", None)
    # A notebook gives each version of a cell a file of its own.
    file = () if module == "__main__" else (getattr(_code_of(function), "co_filename", None),)
    return module, getattr(function, "__qualname__", None), *file


def _code_of(function: Callable[..., Any]) -> Any:
    return getattr(inspect.unwrap(function), "__code__", None)


def _line_of(function: Callable[..., Any]) -> int:
    line: int = 0 if function.__module__ == "__main__" else _code_of(function).co_firstlineno
    return line


def _has_moved(before: Any, now: Any) -> bool:
    """Return whether some code is, now that its file was edited and run again, what is left of that name."""
    try:
        tree = ast.parse(Path(now.co_filename).read_bytes())
    except (OSError, ValueError, SyntaxError):
        return False
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == now.co_name)
    # The line of code with decorators is that of the first of them.
    lines = [min([node.lineno, *(each.lineno for each in node.decorator_list)]) for node in found]
    return lines == [now.co_firstlineno] != [before.co_firstlineno]


def _are_alike(one: Any, other: Any, seen: dict[tuple[int, int], tuple[Any, Any]]) -> bool:
    """Return whether two values, made one after the other, stand for the same; what leads back to itself does."""
    if one is other or (id(one), id(other)) in seen:
        return True
    if type(one) is not type(other):
        return False
    seen[id(one), id(other)] = one, other  # kept, since the id of what is gone is soon that of another
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(_are_alike(*each, seen) for each in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_are_alike(one[key], other[key], seen) for key in one)
    if isinstance(one, FunctionType):  # with its decorators, which hold it in their closures
        return one.__code__ == other.__code__ and _are_alike(_held_by(one), _held_by(other), seen)
    if isinstance(one, MethodType):
        return one.__func__ is other.__func__ and _are_alike(one.__self__, other.__self__, seen)
    if type(one).__eq__ is _OF_EACH and hasattr(one, "__dict__"):
        return _are_alike(vars(one), vars(other), seen)
    try:
        return bool(one == other)
    except Exception:  # tensors and arrays that are other ones have no one truth
        return False


def _held_by(function: FunctionType) -> list[Any]:
    """Return what a function has beside its code: what its closure holds, and its defaults."""
    return [closure_of(function), function.__defaults__, function.__kwdefaults__]
