"""A few values of many tensors, kept: what shows most writes that no version counts, at the price of a glance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from pytest_cam.engine.model.bits import WORDS, Array, are_rows_whole, words_of

# Of how many rows of one tensor a value is looked at. Each is a line of memory that the look fetches from far away, and
# all of a large network's would cost more than everything else that a cached answer takes. All classes of a usual head
# are among them, and all filters of a narrow convolution; of a wider one some, evenly spread.
_MOST_CLASSES, _MOST_FILTERS = 1024, 64


class _Glance(Protocol):
    def holds(self) -> bool: ...


@dataclass(frozen=True, eq=False)
class Glances:
    """A few values of some tensors as they were: all of vectors, and of what has more axes the first row and column.

    So a write to a whole column shows, as to what reads one channel, and one to a row of those that are looked at, as
    to what makes one.

    Views of the tensors are kept: while the tensors are the same ones, and their memory is where it was, these show
    what is written to them.

    Attributes:
        glances: The values, those of one kind together.
        partly: The tensors of which some values are not looked at.
    """

    glances: list[_Glance]
    partly: list[torch.Tensor]

    def hold(self) -> bool:
        """Return whether all values still are the same, to the bit."""
        return all(glance.holds() for glance in self.glances)

    @classmethod
    def at(cls, tensors: Iterable[torch.Tensor]) -> Glances:
        """Look at some tensors.

        Args:
            tensors: Strided ones, of any device and type.
        """
        vectors: list[memoryview] = []
        rows: dict[int, list[Array]] = {}
        others: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
        partly = []
        for tensor in tensors:
            if not tensor.numel():
                continue
            fixed = tensor.detach()
            words = words_of(fixed)
            if fixed.ndim > 1 or words is None:
                partly.append(tensor)
            if words is None:
                others.setdefault((fixed.dtype, fixed.device), []).extend(_firsts_of(fixed))
            elif fixed.ndim > 1:
                length = len(words) // len(fixed)
                step = -(-len(fixed) // (_MOST_CLASSES if fixed.ndim == 2 else _MOST_FILTERS))
                rows.setdefault(words.itemsize, []).append(words[:: length * step])
                vectors.append(words[:length].data.cast("B"))
            else:
                vectors.append(words.data.cast("B"))
        found: list[_Glance] = [_Vectors.of(vectors)] if vectors else []
        return cls([*found, *map(_Rows.of, rows.values()), *map(_Others.of, others.values())], partly)


def _firsts_of(fixed: torch.Tensor) -> list[torch.Tensor]:
    """Return the first value of each row, and the first row where its values lie side by side."""
    # By views: `flatten` copies where memory lies in another order than the axes.
    word = WORDS.get(fixed.element_size())
    # As whole numbers, so that NaN is the same as before and -0.0 is not 0.0.
    words = fixed if word is None else fixed.view(word)
    firsts = words if words.ndim else words[None]
    while firsts.ndim > 1:
        firsts = firsts.select(1, 0)
    if fixed.ndim > 1 and are_rows_whole(words):
        return [firsts, words.as_strided((words.numel() // len(words),), (1,))]
    return [firsts]


@dataclass(frozen=True, eq=False)
class _Vectors:
    views: list[memoryview]
    before: list[bytes]

    @classmethod
    def of(cls, views: list[memoryview]) -> _Vectors:
        return cls(views, list(map(bytes, views)))

    def holds(self) -> bool:
        # Of two of one size this is equality; it compares memory without making a copy first.
        return all(map(bytes.startswith, self.before, self.views))


@dataclass(frozen=True, eq=False)
class _Rows:
    views: list[Array]
    now: Array
    before: bytes

    @classmethod
    def of(cls, views: list[Array]) -> _Rows:
        now = np.concatenate(views)
        return cls(views, now, now.tobytes())

    def holds(self) -> bool:
        np.concatenate(self.views, out=self.now)
        return self.before.startswith(self.now.data.cast("B"))


@dataclass(frozen=True, eq=False)
class _Others:
    views: list[torch.Tensor]
    before: torch.Tensor

    @classmethod
    def of(cls, views: list[torch.Tensor]) -> _Others:
        return cls(views, torch.cat(views))

    def holds(self) -> bool:
        return torch.equal(torch.cat(self.views), self.before)
