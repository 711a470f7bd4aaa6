"""Where the memory of tensors is and how it is read: what no version counts where a tensor is given other data."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

_place, _shape, _stride = torch.Tensor.data_ptr, operator.attrgetter("shape"), torch.Tensor.stride
# Of a vector without holes these say as much as shape and stride, and take a third of the time: numbers are made, and
# compared, at once.
_dim, _numel, _is_contiguous = torch.Tensor.dim, torch.Tensor.numel, torch.Tensor.is_contiguous


@dataclass(frozen=True, eq=False)
class Places:
    """Where some tensors are, and how they are read.

    Attributes:
        vectors: Those of them that are vectors without holes.
        others: The others.
        before: What was found of them.
    """

    vectors: list[torch.Tensor]
    others: list[torch.Tensor]
    before: list[list[Any]]

    @classmethod
    def of(cls, tensors: Iterable[torch.Tensor]) -> Places:
        """Note where some tensors are.

        Args:
            tensors: Strided ones, of any device and type.
        """
        vectors: list[torch.Tensor] = []
        others: list[torch.Tensor] = []
        for tensor in tensors:
            (vectors if tensor.ndim == 1 and tensor.is_contiguous() else others).append(tensor)
        return cls(vectors, others, _found(vectors, others))

    def hold(self) -> bool:
        """Return whether all of them still are there, and read as before."""
        return self.before == _found(self.vectors, self.others)


def _found(vectors: list[torch.Tensor], others: list[torch.Tensor]) -> list[list[Any]]:
    return [
        *(list(map(ask, vectors)) for ask in (_place, _dim, _numel, _is_contiguous)),
        *(list(map(ask, others)) for ask in (_place, _shape, _stride)),
    ]
