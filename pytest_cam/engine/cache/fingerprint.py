"""What shows that a model is still the one that it was: its modules, attributes, flags and weights."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import nn

from pytest_cam.engine.cache.glances import Glances
from pytest_cam.engine.cache.places import Places
from pytest_cam.engine.cache.reach import Reach, holds_numbers, types_in
from pytest_cam.engine.cache.ways_in import UnreadableError
from pytest_cam.engine.model.bits import checksum
from pytest_cam.engine.model.state import ModelState

_version = operator.attrgetter("_version")
_parameters, _buffers = operator.itemgetter("_parameters"), operator.itemgetter("_buffers")
_in_table = operator.methodcaller("values")
# Not every version of torch knows of autocast on each.
_AUTOCAST = tuple(kind for kind in ("cpu", "cuda", "mps", "xpu") if torch.amp.is_autocast_available(kind))


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A model as it is at one moment, to be compared with what it is later.

    Compared are the modules, what their classes hold, the objects that their attributes are and what is reached from
    these (so a training flag, a stride, a value in a config object, a layer in a plain list), what the functions of
    the user's classes read by name outside of themselves, the tensors among these, their versions, which every write
    through autograd's eyes raises, and for writes past those (through `.data` or NumPy) the first row and column, and
    all values of vectors. A model may still change in ways that nothing here shows, such as a file that it reads.

    Attributes:
        is_known: Whether it is made of torch's and torchvision's own modules, whose attributes are plain values.
        modules: What is equal to that of the same modules.
        attributes: Their attributes.
        numbers: Where the modules of the user's classes have numbers, and of which type: 1, 1.0 and True are equal, as
            are 0.0 and -0.0.
        tables: Their parameters and buffers.
        classes: What shows, now and later, what the modules' classes hold, such as their methods, which a test may
            replace. As long as the modules are the same ones, so are their classes.
        of_kinds: What they hold.
        of_users: As `classes`, of the user's own classes alone.
        lists: The lists among the attributes of known modules, and what those hold.
        notes: The attributes of the parameters and buffers of a model that is not known, as they are and as they were.
        reach: What is reached from the attributes of such a model, from these, and from its own classes.
        tensors: The parameters, the buffers, and the tensors among the attributes.
        versions: Those of the ones that are not looked at whole.
        places: Where their memory is, and how it is read.
        glances: A look at some of their values.
        arrays: The arrays among the attributes, NumPy's and Python's, and what those hold.
        surroundings: The training flags as the user left them, and what else changes numbers: autocast, the default
            type, the number of threads.
    """

    is_known: bool
    modules: object
    attributes: list[Any]
    numbers: list[tuple[dict[str, Any], str, Any]]
    tables: list[dict[str, torch.Tensor | None]]
    classes: list[Mapping[str, Any]]
    of_kinds: list[Any]
    of_users: list[Mapping[str, Any]]
    lists: list[tuple[list[Any], list[Any]]]
    notes: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    reach: Reach
    tensors: list[torch.Tensor]
    versions: list[int]
    places: Places
    glances: Glances
    arrays: list[tuple[Any, bytes]]
    surroundings: tuple[Any, ...]

    @classmethod
    def of(cls, state: ModelState) -> Fingerprint:
        """Take the fingerprint of a model.

        Args:
            state: The model's state, entered.

        Raises:
            UnreadableError: It holds something whose changes cannot be followed.
            Exception: It holds a tensor of a kind that refuses to be read, whatever that raises.
        """
        attributes = state.tree.attributes
        tables = _tables(attributes)
        notes = [] if state.is_known else _notes(tables)
        # Of their common base too: a spy may take the place of what it has, though it is nobody's to be looked into.
        classes, of_users = [*_held_by(state.tree.kinds), vars(nn.Module)], _held_by(state.tree.other_kinds)
        reach = Reach([]) if state.is_known else Reach.of([*attributes, *of_users, *notes], state.modules)
        held = chain(_read_in(tables) if state.is_known else _all_in(tables), reach.values)
        tensors = list({id(value): value for value in held if isinstance(value, torch.Tensor)}.values())
        if any(tensor.layout != torch.strided or tensor.is_inference() for tensor in tensors):
            raise UnreadableError("a tensor that is sparse, or made under inference_mode, counts no writes to it")
        if any(tensor.is_quantized for tensor in tensors):
            # Not only an error: torch ends the process, each version at other strides and views.
            raise UnreadableError("the memory of a quantised tensor cannot be read as that of others")
        if _is_patched(state):
            raise UnreadableError("a method of one of torch's own classes was replaced")
        glances = Glances.at(tensors)
        return cls(
            state.is_known,
            state.tree.identity,
            state.tree.own if state.is_known else list(map(dict, attributes)),
            _numbers(state),
            list(map(dict, tables)),
            classes,
            _all_in(classes),
            of_users,
            _lists(attributes) if state.is_known else [],
            (notes, list(map(dict, notes))),
            reach,
            tensors,
            list(map(_version, glances.partly)),
            Places.of(tensors),
            glances,
            _arrays(reach.values),
            _surroundings(state.flags),
        )

    def is_still_that_of(self, state: ModelState) -> bool:
        """Return whether a model has not changed since.

        Args:
            state: The model's state now, entered.
        """
        # The cheap questions first. Where tensors are the same ones in the same places, the views of them hold.
        attributes = state.tree.attributes
        return (
            self.is_known == state.is_known
            and self.modules == state.tree.identity
            and self.surroundings == _surroundings(state.flags)
            and _are_same(self.attributes, state.tree.own if self.is_known else attributes)
            and all(types_in(held[name]) == kind for held, name, kind in self.numbers)
            and _are_same(self.tables, _tables(attributes))
            and _are_same(self.of_kinds, _all_in(self.classes))
            and self.versions == list(map(_version, self.glances.partly))
            and self.places.hold()
            and all(_are_same(before, now) for now, before in self.lists)
            and _are_same(*self.notes)
            and (self.is_known or self.reach.is_unchanged([*attributes, *self.of_users]))
            and all(_bytes_of(each) == before for each, before in self.arrays)
            and self.glances.hold()
        )

    def content(self) -> list[int]:
        """Return the checksum of each tensor."""
        return list(map(checksum, self.tensors))


def _numbers(state: ModelState) -> list[tuple[dict[str, Any], str, Any]]:
    kinds = set(state.tree.other_kinds)
    users = [vars(module) for module in state.modules if type(module) in kinds]
    return [(held, name, types_in(held[name])) for held in users for name in held if holds_numbers(held[name])]


def _tables(attributes: list[dict[str, Any]]) -> list[dict[str, torch.Tensor | None]]:
    return [*map(_parameters, attributes), *map(_buffers, attributes)]


def _read_in(tables: list[dict[str, torch.Tensor | None]]) -> list[torch.Tensor | None]:
    """Return what torch's own modules read in eval mode: batch norm counts its batches for training alone."""
    return [tensor for table in tables for name, tensor in table.items() if name != "num_batches_tracked"]


def _notes(tables: list[dict[str, torch.Tensor | None]]) -> list[dict[str, Any]]:
    return [vars(tensor) for tensor in _all_in(tables) if tensor is not None]


def _is_patched(state: ModelState) -> bool:
    """Return whether a class of torch's or torchvision's has a method that is not from there."""
    others = set(state.tree.other_kinds)
    theirs = tuple(kind for kind in state.tree.kinds if kind not in others)
    functions = [value for value in _all_in(_held_by(theirs)) if isinstance(value, FunctionType)]
    # Of decorators some are from elsewhere.
    known = ("torch.", "torchvision.", "typing_extensions", "warnings")
    return not all(str(function.__globals__.get("__name__")).startswith(known) for function in functions)


def _lists(attributes: list[dict[str, Any]]) -> list[tuple[list[Any], list[Any]]]:
    return [(value, list(value)) for value in _all_in(attributes) if type(value) is list]


def _are_same(before: list[Any], now: list[Any]) -> bool:
    """Return whether what two lists hold are the same objects, or else equal."""
    try:
        return bool(before == now)
    except Exception:  # tensors and arrays that are other ones have no one truth
        return False


def _all_in(tables: Iterable[Mapping[str, Any]]) -> list[Any]:
    return list(chain.from_iterable(map(_in_table, tables)))


def _held_by(kinds: Iterable[type]) -> list[Mapping[str, Any]]:
    bases = dict.fromkeys(base for kind in kinds for base in kind.__mro__)
    return [vars(base) for base in bases if base not in (nn.Module, object)]


def _arrays(values: list[Any]) -> list[tuple[Any, bytes]]:
    kinds = (np.ndarray, array, bytearray, memoryview)
    arrays = [value for value in values if isinstance(value, kinds) and not _holds_objects(value)]
    return [(each, _bytes_of(each)) for each in arrays]


def _holds_objects(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.hasobject


def _bytes_of(value: Any) -> bytes:
    # NumPy's dates have no buffer that `bytes` could read, and a bytearray has nothing but that.
    return bytes(value) if isinstance(value, bytearray) else value.tobytes()


def _surroundings(flags: list[bool] | None) -> tuple[Any, ...]:
    return (
        flags,
        *(torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) for kind in _AUTOCAST),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
    )
