"""How to get from an object to what it holds."""

from __future__ import annotations

import logging
import operator
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from io import IOBase
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch

from pytest_cam.engine.model.named import is_of_the_user

# What holds nothing else, or nothing that a model reads.
_ENDS = (
    *(str, bytes, int, float, complex, type(None), ModuleType, BuiltinFunctionType),
    *(torch.Tensor, torch.dtype, torch.device, torch.Size, np.ndarray, np.generic),
    *(ClassMethodDescriptorType, GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType),
    *(WrapperDescriptorType, GenericAlias, logging.Logger),
)
Answer = TypeVar("Answer")
GENERATORS = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)


class UnreadableError(Exception):
    """A model holds something whose changes cannot be followed."""


def _kept_by_kind(answer: Callable[[type], Answer]) -> Callable[[type], Answer]:
    """Return a function of a class that answers once for each: a class of a test, and what its methods hold, may go."""
    kept: WeakKeyDictionary[type, Answer] = WeakKeyDictionary()

    def of_kind(kind: type) -> Answer:
        try:
            return kept[kind]
        except KeyError:
            return kept.setdefault(kind, answer(kind))

    return of_kind


@_kept_by_kind
def way_into(kind: type) -> Callable[[Any], Iterable[Any]] | None:
    """Return what gives the values that an object of some type holds, or None where it holds none."""
    if issubclass(kind, _ENDS):
        return None
    if issubclass(kind, GENERATORS) or (issubclass(kind, Iterator) and not issubclass(kind, IOBase)):
        return refused
    if issubclass(kind, FunctionType):
        return operator.attrgetter("__defaults__", "__kwdefaults__")
    if issubclass(kind, type):
        return _of_class
    if issubclass(kind, property):
        return lambda value: (value.fget,)
    if issubclass(kind, dict) and is_of_the_user(kind):
        return lambda value: (*value.values(), *_attributes(value, []))
    if issubclass(kind, list) and is_of_the_user(kind):
        return lambda value: (*value, *_attributes(value, []))
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
    return partial(_attributes, slots=slots_of(kind))


@_kept_by_kind
def slots_of(kind: type) -> list[str]:
    """Return the names of the slots that objects of some type have."""
    slots = [name for base in kind.__mro__ for name in _names(vars(base).get("__slots__", ()))]
    return [name for name in slots if not name.startswith("__")]


def _of_class(kind: type) -> Iterable[Any]:
    return (*vars(kind).values(), *kind.__bases__) if is_of_the_user(kind) else ()


def refused(value: Any) -> Iterable[Any]:
    """Raise `UnreadableError`: a value is a generator of random numbers or another iterator."""
    raise UnreadableError(f"a {type(value).__name__} gives other numbers at each call")


def _attributes(value: Any, slots: list[str]) -> Iterable[Any]:
    held = [getattr(value, name) for name in slots if hasattr(value, name)] if slots else []
    return [*getattr(value, "__dict__", {}).values(), *held]


def _names(slots: Any) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots
