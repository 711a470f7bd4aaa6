"""Handing kept tensors to a model that may write to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pytest_cam.engine.replaying.recording import copied


@dataclass(eq=False)
class _Loan:
    """A copy of a kept tensor that is handed out, and its version when nothing had written to it."""

    kept: torch.Tensor
    lent: torch.Tensor
    version: int

    def is_written(self, *, thoroughly: bool) -> bool:
        if self.lent._version != self.version:
            return True
        # What is written through `.data` leaves the version as it was.
        return thoroughly and not torch.equal(self.lent, self.kept)


class Lender:
    """Hands out kept tensors for a batch, and sees to it that what is kept stays as it is.

    A batch shares the memory of one copy, as most of it is never looked at. Tensors that the model writes to, once that
    is known, are handed out as copies of their own.

    Attributes:
        copies_all: Whether every tensor is handed out as a copy of its own.
    """

    def __init__(self) -> None:
        self._loans: dict[int, _Loan] = {}
        self._written_to: set[int] = set()
        self.copies_all = False

    def lend(self, kept: torch.Tensor, number: int) -> torch.Tensor:
        """Return a kept tensor (1, ...) as (number, ...), and one of another shape as it is.

        Args:
            kept: The tensor, which the caller holds for as long as this object is used.
            number: The size of the batch.
        """
        if self.copies_all or id(kept) in self._written_to:
            return _rows(kept, number).clone()
        loan = self._loans.get(id(kept))
        if loan is None or loan.is_written(thoroughly=False):
            lent = copied(kept)
            loan = self._loans[id(kept)] = _Loan(kept, lent, lent._version)
        return _rows(loan.lent, number)

    def notice_writes(self, *, thoroughly: bool = False) -> bool:
        """Return whether a tensor was written to since it was handed out; from now on it is handed out as a copy.

        Args:
            thoroughly: Compare the values, too.
        """
        written = [key for key, loan in self._loans.items() if loan.is_written(thoroughly=thoroughly)]
        for key in written:
            del self._loans[key]
        self._written_to.update(written)
        return bool(written)


def _rows(tensor: torch.Tensor, number: int) -> torch.Tensor:
    if tensor.shape[:1] != (1,):
        return tensor
    return tensor.expand(number, *tensor.shape[1:])
