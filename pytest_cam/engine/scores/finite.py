"""NaN and infinity, noticed and named."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from pytest_cam.engine.scores.explained import Explained
from pytest_cam.errors import NonFiniteError, is_ours

__tracebackhide__ = is_ours


def is_something(tensor: torch.Tensor) -> bool:
    """Return whether each image's part is seen at a glance to be finite and not all zero; False may be wrong."""
    if tensor.shape[0] == 1:  # over one axis after the other is slower than over all at once
        total = float(tensor.sum())
        return total != 0 and math.isfinite(total)
    sums: list[float] = tensor.sum(dim=tuple(range(1, tensor.ndim))).tolist()
    return 0 not in sums and all(map(math.isfinite, sums))


def largest(what: str, tensor: torch.Tensor, where: list[str]) -> list[float]:
    """Return the largest absolute value of each image's part.

    Args:
        what: What the values are, for the message.
        tensor: (B, ...).
        where: Where they are, for the message, one each.

    Raises:
        NonFiniteError: It is NaN or infinite.
    """
    rows = tensor.reshape(len(where), -1)
    found: list[float] = rows.abs().amax(dim=1).tolist()
    for index, value in enumerate(found):
        if not math.isfinite(value):
            raise not_finite(what, rows[index], f"{where[index]}{of_batch(index, len(where))}")
    return found


def require_scores(explained: Sequence[Explained]) -> None:
    """Check that the explained score of each image is finite.

    Raises:
        NonFiniteError: It is NaN or infinite.
    """
    for index, item in enumerate(explained):
        if not math.isfinite(item.score):
            where = f"of target {item.name}{of_batch(index, len(explained))}"
            raise not_finite("scores", torch.tensor([item.score]), where)


def not_finite(what: str, values: torch.Tensor, where: str) -> NonFiniteError:
    """Return the error that says how many of some values are not finite."""
    kind = "NaN" if bool(values.isnan().any()) else "infinity"
    count = int((~values.isfinite()).sum())
    return NonFiniteError(f"{kind} in the {what} {where}: {count} of {values.numel()} values are not finite")


def of_batch(index: int, count: int) -> str:
    """Return which image of a batch is meant, for a message."""
    return f" for image {index} of the batch" if count > 1 else ""
