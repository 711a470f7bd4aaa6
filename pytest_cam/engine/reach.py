"""What can be reached from the attributes of a model: what it may read beside its weights."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
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

# How deep containers and objects are looked into, and how much there may be.
_DEPTH = 6
_MOST = 20_000

# What holds nothing else, or nothing that a model reads.
_ENDS = (
    *(str, bytes, int, float, complex, type(None), type, ModuleType, BuiltinFunctionType, logging.Logger),
    *(torch.Tensor, torch.dtype, torch.device, torch.Size, np.ndarray, np.generic, property),
    *(ClassMethodDescriptorType, GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType),
    WrapperDescriptorType,
)
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
    functions = []
    for _ in range(_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, _ENDS) or id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, _GENERATORS):
                raise UnreadableError(f"a {type(value).__name__} gives other numbers at each call")
            if isinstance(value, FunctionType):
                functions.append(value)
            else:
                inner += _inside(value)
        found += inner
        if len(found) > _MOST:
            raise UnreadableError(f"more than {_MOST} values are reached from the attributes")
        if not inner:
            break
        level = inner
    # Not what containers among these hold: a list that passes are counted in would change with each.
    return [*found, *(item for function in functions for item in _read_by(function))]


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, (dict, Mapping)):
        return value.values()
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return value
    if isinstance(value, MethodType):
        return value.__self__, value.__func__
    if isinstance(value, (staticmethod, classmethod)):
        return (value.__func__,)
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    slots = [name for base in type(value).__mro__ for name in _names(vars(base).get("__slots__", ()))]
    held = [getattr(value, name) for name in slots if not name.startswith("__") and hasattr(value, name)]
    return [*getattr(value, "__dict__", {}).values(), *held]


def _names(slots: Any) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots


def _read_by(function: FunctionType) -> list[Any]:
    """Return what a function finds outside of itself: the values of its closure, and globals by the names it uses."""
    known = function.__globals__
    found = [known[name] for name in function.__code__.co_names if name in known]
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # an empty one, whose variable is not set yet
            found.append(cell.cell_contents)
    return found
