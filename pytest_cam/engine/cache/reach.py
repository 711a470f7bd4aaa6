"""What can be reached from the attributes of a model, which it may read beside its weights, and whether it changed."""

from __future__ import annotations

import operator
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, starmap
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from pytest_cam.engine.cache.ways_in import GENERATORS, UnreadableError, refused, slots_of, way_into
from pytest_cam.engine.model.module_tree import OF_EACH_MODULE
from pytest_cam.engine.model.named import (
    FINISHED,
    INSTALLED,
    closure_of,
    has_attributes,
    is_from,
    is_of_the_user,
    names_in,
    read_by_name,
)

# How much may be reached beside what the modules themselves hold, and about how much each of these does.
_MOST, _OF_A_MODULE = 20_000, 60

# What may be equal and of another type, or zero and of another sign.
_NUMBERS = frozenset({bool, int, float, complex})
# What never changes, and what never holds something else than it does.
_FIXED = {str, bytes, bool, int, float, complex, type(None), torch.dtype, torch.device, torch.Size}
_FROZEN = (tuple, frozenset, MethodType, staticmethod, classmethod, property, partial)
# Python's own classes of what is the user's: settings.
_NAMESPACES = (SimpleNamespace, Namespace)

_parts_of = operator.attrgetter("__code__", "__defaults__", "__kwdefaults__")


@dataclass(frozen=True, eq=False)
class Reach:
    """What was reached from some tables, and what shows later that it still is what it was.

    As long as each container, object and function that was met holds the same, no other one can be reached. So each is
    looked at by itself, and the way is not gone again.

    Attributes:
        roots: The tables.
        values: All that was reached.
    """

    roots: list[Mapping[str, Any]]
    values: list[Any] = field(default_factory=list)
    _tables: list[dict[Any, Any]] = field(default_factory=list)
    _lists: list[list[Any]] = field(default_factory=list)
    _others: list[tuple[Callable[[Any], Iterable[Any]], Any]] = field(default_factory=list)
    _owners: list[Any] = field(default_factory=list)
    _places: list[tuple[Any, Any]] = field(default_factory=list)
    _functions: list[FunctionType] = field(default_factory=list)
    _globals: list[tuple[Mapping[str, Any], list[str]]] = field(default_factory=list)
    _numbers: list[tuple[Callable[[Any], Iterable[Any]], Any]] = field(default_factory=list)
    _before: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, roots: list[Mapping[str, Any]], modules: list[nn.Module]) -> Reach:
        """Find what some tables hold, and what is in that.

        Containers, objects and their classes are looked into, modules too where they are not registered, and of
        functions their defaults, and what they use from their closures or by name: settings, helpers, objects, layers.

        Args:
            roots: The attributes of modules, and what their classes hold.
            modules: Those modules, which are not looked into again.

        Raises:
            UnreadableError: A generator of random numbers or another iterator is among it, or more than can be
                compared at each call.
        """
        reach = cls(roots)
        seen = set(map(id, modules))
        most = _MOST + _OF_A_MODULE * len(modules)
        level: list[Any] = []
        for table in roots:
            # What each module has, its weights, the modules in it and its hooks, is looked at elsewhere.
            names = [name for name in table if name not in OF_EACH_MODULE]
            reach._note_places(table, names)
            level += map(table.__getitem__, names)
        reach._look_into(level, seen, most)
        reach._follow(seen, most)
        reach._note_numbers()
        now = reach._now()
        reach._before.extend([list(map(dict, reach._tables)), list(map(list, reach._lists)), *now[2:]])
        return reach

    def _look_into(self, level: list[Any], seen: set[int], most: int) -> None:
        """Note some values, what they hold, and what is in that."""
        while level:
            self.values.extend(level)
            if len(self.values) > most:
                raise UnreadableError(f"more than {most} values are reached from the attributes")
            inner: list[Any] = []
            for value in level:
                read = way_into(type(value))
                if read is not None and id(value) not in seen:
                    seen.add(id(value))
                    self._note(value, read)
                    inner += (*read(value), type(value))
            level = inner

    def is_unchanged(self, roots: list[Mapping[str, Any]]) -> bool:
        """Return whether all that was met holds what it held, and is reached the same way.

        Args:
            roots: The tables, which may be other ones now. What they themselves hold is compared elsewhere.
        """
        try:
            return all(map(operator.is_, self.roots, roots)) and bool(self._before == self._now())
        except Exception:  # arrays that are other ones have no one truth, and what is gone is no index
            return False

    def _now(self) -> list[Any]:
        return [
            self._tables,
            self._lists,
            list(map(list, self._tables)),  # the order of their keys
            [list(read(holder)) for read, holder in self._others],
            list(map(type, self._owners)),
            list(map(id, map(vars, self._owners))),
            list(map(id, starmap(_at, self._places))),
            [list(map(known.get, names)) for known, names in self._globals],
            list(map(_parts_of, self._functions)),
            [closure_of(function) for function in self._functions if function.__closure__],
            [list(map(types_in, read(holder))) for read, holder in self._numbers],
        ]

    def _note(self, value: Any, read: Callable[[Any], Iterable[Any]]) -> None:
        """Note what shows whether a container or an object holds what it does."""
        if isinstance(value, _FROZEN):
            return
        if isinstance(value, (dict, list)):
            self._note_container(value)
        elif isinstance(value, FunctionType):
            self._functions.append(value)
        elif isinstance(value, type):
            if is_of_the_user(value):
                self._tables.append(vars(value))  # type: ignore[arg-type]  # a view of a dict does here
                self._note_places(vars(value), vars(value))
        elif has_attributes(value):
            self._note_attributes(value)
            if slots_of(type(value)):
                self._others.append((read, value))
        else:
            self._others.append((read, value))

    def _note_container(self, value: dict[Any, Any] | list[Any]) -> None:
        if isinstance(value, dict):
            self._tables.append(value)
            self._note_places(value, value)
        else:
            self._lists.append(value)
            self._note_places(value, range(len(value)))
        if has_attributes(value):  # of a class of the user's
            self._note_attributes(value)

    def _note_attributes(self, value: Any) -> None:
        self._owners.append(value)
        self._tables.append(vars(value))
        self._note_places(vars(value), vars(value))

    def _note_places(self, holder: Any, keys: Iterable[Any]) -> None:
        """Note where something lies that may be replaced by another one that is equal now, and not later."""
        self._places.extend((holder, key) for key in keys if not _is_fixed(holder[key]))

    def _note_numbers(self) -> None:
        """Note what holds numbers: 1, 1.0 and True are equal, 0.0 and -0.0 too, and a model may tell them apart."""
        holders: list[tuple[Callable[[Any], Iterable[Any]], Any]] = [*self._others]
        holders += [(iter, values) for values in self._lists]
        holders += [(_closed_over, function) for function in self._functions if function.__closure__]
        holders += [(_defaults_of, function) for function in self._functions]
        self._numbers.extend(each for each in holders if any(map(holds_numbers, each[0](each[1]))))
        tables: list[tuple[Mapping[str, Any], list[str]]] = [(table, list(table)) for table in self._tables]
        tables += [
            (known, [name for name in names if not _may_count(known.get(name))]) for known, names in self._globals
        ]
        for table, names in tables:
            self._numbers.append((partial(map, table.get), [name for name in names if holds_numbers(table.get(name))]))

    def _follow(self, seen: set[int], most: int) -> None:
        """Note what functions read outside of themselves, and what they call there: from closures, or by name."""
        names: dict[int, tuple[Mapping[str, Any], dict[str, None]]] = {}
        for function in self._functions:  # which grows meanwhile
            own, known = names_in(function.__code__), function.__globals__
            closure = closure_of(function)
            # Not what containers among these hold: a list that passes are counted in would change with each.
            self.values.extend(closure)
            read = [(known, known, [])] if is_from(FINISHED, function) else read_by_name(known, own)
            for value, inside, there in read:
                # Of globals and modules also those that there may be later.
                noted = own if inside is known or inside is sys.modules else there
                names.setdefault(id(value), (inside, {}))[1].update(dict.fromkeys(noted))
            found = (inside[name] for _, inside, there in read for name in there)
            helpers = [value for value in found if not (type(value) is FunctionType and is_from(INSTALLED, value))]
            called = [value for value in chain(closure, helpers) if _may_be_called(value) and id(value) not in seen]
            self._look_into(called, seen, most)
        for table, named in names.values():
            self._globals.append((table, list(named)))
            self.values.extend(table[name] for name in named if name in table)
        for value in self.values:
            if isinstance(value, GENERATORS):
                refused(value)


def _may_count(value: Any) -> bool:
    # As passes are in a list outside of the model, which changes with each.
    return isinstance(value, list)


def _closed_over(function: FunctionType) -> Iterable[Any]:
    return [value for value in closure_of(function) if not _may_count(value)]


def _defaults_of(function: FunctionType) -> Iterable[Any]:
    return (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())


def _may_be_called(value: Any) -> bool:
    """Return whether what a function reads outside of itself is code, or an object whose methods it may call."""
    if isinstance(value, (FunctionType, staticmethod, classmethod, partial, MethodType, nn.Module, *_NAMESPACES)):
        return True
    if isinstance(value, (type, ModuleType)):
        return isinstance(value, type) and is_of_the_user(value)
    kind = type(value)
    return is_of_the_user(kind) and bool(has_attributes(value) or slots_of(kind))


def _at(holder: Any, key: Any) -> Any:
    # A dict that makes what it lacks would, if it was asked with brackets.
    return holder[key] if isinstance(holder, list) else holder.get(key)


def holds_numbers(value: Any, depth: int = 3) -> bool:
    """Return whether a value is a number, or a tuple or list with numbers in it."""
    if type(value) in (tuple, list) and depth:
        return any(holds_numbers(each, depth - 1) for each in value)
    return type(value) in _NUMBERS or isinstance(value, np.generic)


def types_in(value: Any, depth: int = 3) -> Any:
    """Return the type of a value, with those of what a tuple or a list holds: what is equal may be of another one.

    With a zero goes its sign: 0.0 and -0.0 are equal, and what is divided by them is not.
    """
    if type(value) in (tuple, list) and depth:
        return type(value), [types_in(each, depth - 1) for each in value]
    is_signed = type(value) in (float, complex) or isinstance(value, np.inexact)
    return (type(value), str(value)) if is_signed and not value else type(value)


def _is_fixed(value: Any, depth: int = 3) -> bool:
    if type(value) in (tuple, list) and depth:
        return all(_is_fixed(each, depth - 1) for each in value)
    return type(value) in _FIXED or isinstance(value, np.generic)
