"""Outputs of layers that carry a tensor among other things."""

from __future__ import annotations

from typing import Any

import torch

from pytest_cam.engine.reading.nested import tensors_in
from pytest_cam.engine.reading.outputs import with_each


def with_tensor(output: Any, old: torch.Tensor, new: torch.Tensor) -> Any:
    """Return a layer's output with one tensor replaced, wherever the output holds it."""
    return with_each(output, lambda held: new if held is old else held, depth=1)


def passes_on(outer: str, output: Any, inner: str, tensor: torch.Tensor) -> bool:
    """Return whether a module returns what one inside it did, and nothing beside it that was made on the way.

    Only then all that reads the inner output reads the outer one: not where the outer module also returns it pooled,
    and not after a dropout beside it, which returns what it got.
    """
    return inner.startswith(f"{outer}.") and all(held is tensor for held in tensors_in(output))
