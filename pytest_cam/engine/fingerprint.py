"""What shows that a model is still the one that it was: its modules, attributes, flags and weights."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import nn

from pytest_cam.engine.module_tree import modules_of

_version = operator.attrgetter("_version")
_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A model as it is at one moment, to be compared with itself later.

    Compared are the modules, what their classes hold, the objects that their attributes are, those in containers and
    one level deep in others (so a training flag, a stride or a flag in a config object), what the functions of the
    user's classes read by name outside of themselves, the tensors among these, their versions, which every write
    through autograd's eyes raises, and for writes past those (through `.data` or NumPy) the first value of each row
    and all values of vectors. A model may still change in ways that nothing here shows, such as a file that it reads.

    Attributes:
        modules: The ids of the modules.
        values: The modules' attributes, and what those hold.
        tensors: Parameters, buffers and tensors among the attributes.
        versions: Theirs.
        places: Where their memory is.
        samples: Some of their values.
        arrays: What NumPy arrays among the attributes hold.
        surroundings: The training flags as the user left them, and what else changes numbers: autocast, the default
            type, the number of threads.
    """

    modules: list[int]
    values: list[Any]
    tensors: list[torch.Tensor]
    versions: list[int]
    places: list[int]
    samples: list[torch.Tensor]
    arrays: list[bytes]
    surroundings: tuple[Any, ...]

    @classmethod
    def of(cls, model: nn.Module, is_known: bool, flags: list[bool] | None) -> Fingerprint:
        """Take the fingerprint of a model.

        Args:
            model: The model, in eval mode.
            is_known: Whether it is made of torch's and torchvision's own modules, whose attributes are plain values.
            flags: Each module's own training flag as the user left it.
        """
        modules = modules_of(model)
        values = list(chain.from_iterable(map(dict.values, map(vars, modules))))
        of_kinds = _of_kinds(modules)
        if not is_known:
            functions = [value for value in chain(values, of_kinds) if isinstance(value, FunctionType)]
            values.extend([item for value in values for item in _inside(value)])
            values.extend([item for function in functions for item in _read_by(function)])
        values.extend(of_kinds)
        held = chain.from_iterable(chain(module._parameters.values(), module._buffers.values()) for module in modules)
        tensors = [value for value in chain(held, () if is_known else values) if isinstance(value, torch.Tensor)]
        tensors = [tensor for tensor in tensors if tensor.layout == torch.strided and not tensor.is_inference()]
        return cls(
            list(map(id, modules)),
            values,
            tensors,
            list(map(_version, tensors)),
            list(map(torch.Tensor.data_ptr, tensors)),
            _samples(tensors),
            [value.tobytes() for value in values if isinstance(value, np.ndarray) and not value.dtype.hasobject],
            (flags, *_surroundings()),
        )

    def is_that_of(self, other: Fingerprint) -> bool:
        """Return whether a model has not changed between the two."""
        return (
            self.modules == other.modules
            and _same_objects(self.values, other.values)
            and _same_objects(self.tensors, other.tensors)
            and self.versions == other.versions
            and self.places == other.places
            and self.arrays == other.arrays
            and self.surroundings == other.surroundings
            and all(map(torch.equal, self.samples, other.samples))
        )

    def content(self) -> list[int]:
        """Return a sum over the bits of each tensor, which a write to any one value changes."""
        return [_sum_of_bits(tensor) for tensor in self.tensors]


def _same_objects(ones: list[Any], others: list[Any]) -> bool:
    return len(ones) == len(others) and all(map(operator.is_, ones, others))


def _of_kinds(modules: list[nn.Module]) -> list[Any]:
    """Return what the classes of some modules hold, such as their methods, which a test may replace."""
    bases = dict.fromkeys(base for kind in dict.fromkeys(map(type, modules)) for base in kind.__mro__)
    return [value for base in bases if base not in (nn.Module, object) for value in vars(base).values()]


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


def _samples(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    alike: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
    for tensor in tensors:
        if tensor.numel():
            fixed = tensor.detach()
            firsts = fixed.flatten(1)[:, 0] if fixed.ndim > 1 and fixed[0].numel() else fixed.reshape(-1)
            alike.setdefault((tensor.dtype, tensor.device), []).append(firsts)
    return [torch.cat(firsts) for firsts in alike.values()]


def _sum_of_bits(tensor: torch.Tensor) -> int:
    fixed = tensor.detach().contiguous()
    word = _WORDS.get(fixed.element_size())
    if word is None or not fixed.numel() or fixed.is_complex():
        return int(fixed.abs().sum()) if fixed.numel() else 0
    # The sum wraps around; of two different words one alone cannot leave it as it was.
    bits = fixed.reshape(-1).view(word)
    return int(bits.sum(dtype=torch.int64 if word is torch.int64 else torch.int32))


def _surroundings() -> tuple[Any, ...]:
    return (
        *((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
    )
