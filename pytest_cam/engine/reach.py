"""What can be reached from the attributes of a model: what it may read beside its weights."""

from __future__ import annotations

import logging
import operator
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

import numpy as np
import torch
from torch import nn

# How much may be reached beside what the modules themselves hold, and about how much each of these does.
_MOST, _OF_A_MODULE = 20_000, 60

# What holds nothing else, or nothing that a model reads.
_ENDS = (
    *(str, bytes, int, float, complex, type(None), type, ModuleType, BuiltinFunctionType, FunctionType),
    *(torch.Tensor, torch.dtype, torch.device, torch.Size, np.ndarray, np.generic, property),
    *(ClassMethodDescriptorType, GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType),
    *(WrapperDescriptorType, logging.Logger),
)
# Of these those that are met most often, and of those that may be empty.
_ATOMS = {bool, int, float, str, type(None), torch.Tensor, nn.Parameter}
_TABLES = {dict, OrderedDict, list, tuple}
_GENERATORS = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)


class UnreadableError(Exception):
    """A model holds something whose changes cannot be followed."""


def reached_from(values: list[Any], modules: list[nn.Module]) -> list[Any]:
    """Return some values, and what is in them.

    Containers and objects are looked into, modules too where they are not registered, and of functions what their
    closures and the globals that they name are.

    Args:
        values: What modules and their classes hold.
        modules: Those modules, which are not looked into again.

    Raises:
        UnreadableError: A generator of random numbers is among it, or more than can be compared at each call.
    """
    found, level = list(values), values
    seen = set(map(id, modules))
    functions: list[FunctionType] = []
    most = _MOST + _OF_A_MODULE * len(modules)
    while level:
        inner: list[Any] = []
        # Of what modules hold most is one of these.
        holding = [value for value in level if type(value) not in _ATOMS and (type(value) not in _TABLES or value)]
        for value in holding:
            inside = _way_into(type(value))  # type: ignore[arg-type]  # mypy takes no type for hashable
            if inside is not None and id(value) not in seen:
                seen.add(id(value))
                inner += inside(value)
        functions += [value for value in inner if type(value) is FunctionType]
        found += inner
        if len(found) > most:
            raise UnreadableError(f"more than {most} values are reached from the attributes")
        level = inner
    functions += [value for value in values if type(value) is FunctionType]
    for function in functions:  # which grows meanwhile
        # Not what containers among these hold: a list that passes are counted in would change with each.
        closure = _closure_of(function)
        read = [*_globals_of(function), *closure]
        found += read
        for value in read:
            if isinstance(value, _GENERATORS):
                _refused(value)
        for value in closure:  # as what a decorator has wrapped
            if type(value) is FunctionType and id(value) not in seen:
                seen.add(id(value))
                functions.append(value)
    return found


@lru_cache(maxsize=4096)
def _way_into(kind: type) -> Callable[[Any], Iterable[Any]] | None:
    """Return what gives the values that an object of some type holds, or None where it holds none."""
    if issubclass(kind, _ENDS):
        return None
    if issubclass(kind, _GENERATORS):
        return _refused
    if issubclass(kind, Mapping):
        return operator.methodcaller("values")
    if issubclass(kind, (list, tuple, set, frozenset, deque)):
        return iter
    if issubclass(kind, MethodType):
        return operator.attrgetter("__self__", "__func__")
    if issubclass(kind, (staticmethod, classmethod)):
        return lambda value: (value.__func__,)
    if issubclass(kind, partial):
        return operator.attrgetter("func", "args", "keywords")
    slots = [name for base in kind.__mro__ for name in _names(vars(base).get("__slots__", ()))]
    return partial(_attributes, slots=[name for name in slots if not name.startswith("__")])


def _refused(value: Any) -> Iterable[Any]:
    raise UnreadableError(f"a {type(value).__name__} gives other numbers at each call")


def _attributes(value: Any, slots: list[str]) -> Iterable[Any]:
    held = [getattr(value, name) for name in slots if hasattr(value, name)] if slots else []
    return [*getattr(value, "__dict__", {}).values(), *held]


def _names(slots: Any) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots


def _globals_of(function: FunctionType) -> list[Any]:
    """Return the globals that a function names."""
    known = function.__globals__
    return [known[name] for name in _names_in(function.__code__) if name in known]


def _closure_of(function: FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # an empty one, whose variable is not set yet
            found.append(cell.cell_contents)
    return found


@lru_cache(maxsize=4096)
def _names_in(code: CodeType) -> tuple[str, ...]:
    """Return the names that some code uses, and what is defined in it: lambdas, generators."""
    within = (name for part in code.co_consts if isinstance(part, CodeType) for name in _names_in(part))
    return tuple(dict.fromkeys([*code.co_names, *within]))
