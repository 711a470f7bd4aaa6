"""What shows that a model is still the one that it was: its modules, attributes, flags and weights."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import nn

from pytest_cam.engine.glances import WORDS, Glances
from pytest_cam.engine.state import ModelState

_version, _is_set_to = operator.attrgetter("_version"), torch.Tensor.is_set_to
_parameters, _buffers = operator.itemgetter("_parameters"), operator.itemgetter("_buffers")
_in_table = operator.methodcaller("values")


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A model as it is at one moment, to be compared with what it is later.

    Compared are the modules, what their classes hold, the objects that their attributes are, those in containers and
    one level deep in others (so a training flag, a stride or a flag in a config object), what the functions of the
    user's classes read by name outside of themselves, the tensors among these, their versions, which every write
    through autograd's eyes raises, and for writes past those (through `.data` or NumPy) one value of each row and
    all values of vectors. A model may still change in ways that nothing here shows, such as a file that it reads.

    Attributes:
        is_known: Whether it is made of torch's and torchvision's own modules, whose attributes are plain values.
        modules: What is equal to that of the same modules.
        attributes: Their attributes.
        tables: Their parameters and buffers.
        values: What the modules' classes hold, and where that is not known what the attributes do.
        tensors: The parameters, the buffers, and the tensors among the attributes.
        versions: Those of the ones that are not looked at whole.
        views: Views of them, whose memory, shape and strides stay what they are.
        glances: A look at some of their values.
        arrays: The NumPy arrays among the attributes, and what those hold.
        surroundings: The training flags as the user left them, and what else changes numbers: autocast, the default
            type, the number of threads.
    """

    is_known: bool
    modules: object
    attributes: list[dict[str, Any]]
    tables: list[dict[str, torch.Tensor | None]]
    values: list[Any]
    tensors: list[torch.Tensor]
    versions: list[int]
    views: list[torch.Tensor]
    glances: Glances
    arrays: list[tuple[Any, bytes]]
    surroundings: tuple[Any, ...]

    @classmethod
    def of(cls, state: ModelState) -> Fingerprint:
        """Take the fingerprint of a model.

        Args:
            state: The model's state, entered.
        """
        attributes = state.tree.attributes
        tables, values = _tables(attributes), _values(attributes, state)
        held = chain(_all_in(tables), () if state.is_known else values)
        tensors = [value for value in held if isinstance(value, torch.Tensor)]
        tensors = [tensor for tensor in tensors if tensor.layout == torch.strided and not tensor.is_inference()]
        views = [tensor.detach() for tensor in tensors]
        glances = Glances.at(views)
        return cls(
            state.is_known,
            state.tree.identity,
            list(map(dict, attributes)),
            list(map(dict, tables)),
            values,
            tensors,
            list(map(_version, glances.partly)),
            views,
            glances,
            [] if state.is_known else _arrays(values),
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
            and _are_same(self.attributes, attributes)
            and _are_same(self.tables, _tables(attributes))
            and _are_same(self.values, _values(attributes, state))
            and self.versions == list(map(_version, self.glances.partly))
            and all(map(_is_set_to, self.tensors, self.views))
            and all(array.tobytes() == before for array, before in self.arrays)
            and self.glances.hold()
        )

    def content(self) -> list[int]:
        """Return a sum over the bits of each tensor, which a write to any one value changes."""
        return [sum_of_bits(tensor) for tensor in self.tensors]


def _tables(attributes: list[dict[str, Any]]) -> list[dict[str, torch.Tensor | None]]:
    return [*map(_parameters, attributes), *map(_buffers, attributes)]


def _values(attributes: list[dict[str, Any]], state: ModelState) -> list[Any]:
    """Return what the classes of some modules hold; and what their attributes are and hold, where that is not known."""
    of_kinds = _all_in(_held_by(state.tree.kinds))
    if state.is_known:
        return of_kinds
    values = _all_in(attributes)
    functions = [value for value in chain(values, of_kinds) if isinstance(value, FunctionType)]
    values.extend([item for value in values for item in _inside(value)])
    values.extend([item for function in functions for item in _read_by(function)])
    return values + of_kinds


def _are_same(before: list[Any], now: list[Any]) -> bool:
    """Return whether what two lists hold are the same objects, or else equal."""
    try:
        return bool(before == now)
    except Exception:  # tensors and arrays that are other ones have no one truth
        return False


def _all_in(tables: Iterable[Mapping[str, Any]]) -> list[Any]:
    return list(chain.from_iterable(map(_in_table, tables)))


@lru_cache(maxsize=16)
def _held_by(kinds: tuple[type, ...]) -> list[Mapping[str, Any]]:
    """Return what shows, now and later, what some classes hold, such as their methods, which a test may replace."""
    bases = dict.fromkeys(base for kind in kinds for base in kind.__mro__)
    return [vars(base) for base in bases if base not in (nn.Module, object)]


def _arrays(values: list[Any]) -> list[tuple[Any, bytes]]:
    arrays = [value for value in values if isinstance(value, np.ndarray) and not value.dtype.hasobject]
    return [(array, array.tobytes()) for array in arrays]


def _inside(value: Any, depth: int = 4) -> Iterator[Any]:
    if isinstance(value, (dict, list, tuple, set)):
        for item in value.values() if isinstance(value, dict) else value:
            yield item
            if depth and isinstance(item, (dict, list, tuple, set)):
                yield from _inside(item, depth - 1)
    elif not isinstance(value, (type, torch.Tensor, nn.Module)) and not callable(value):
        yield from getattr(value, "__dict__", {}).values()


def _read_by(function: FunctionType) -> list[Any]:
    """Return what a function finds outside of itself: the values of its closure, and globals by the names it uses."""
    known = function.__globals__
    found = [known[name] for name in function.__code__.co_names if name in known]
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # an empty one, whose variable is not set yet
            found.append(cell.cell_contents)
    # Not what containers among these hold: a list that passes are counted in would change with each.
    return found


def sum_of_bits(tensor: torch.Tensor) -> int:
    """Return a number that a write to any one value of a tensor changes; of two writes, one may undo the other."""
    fixed = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    word = WORDS.get(fixed.element_size(), torch.int64)
    # The sum wraps around; of two different words one alone cannot leave it as it was.
    return int(fixed.view(word).sum(dtype=torch.int64 if word is torch.int64 else torch.int32))


def _surroundings(flags: list[bool] | None) -> tuple[Any, ...]:
    return (
        flags,
        *((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
    )
