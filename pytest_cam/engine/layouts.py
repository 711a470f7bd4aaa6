"""Where the activations lie in a layer's output: (B, C, h, w) from NCHW.

This is the one place that knows layouts; others (NHWC, token sequences) join here.
"""

from __future__ import annotations

from typing import Any

import torch


def first_tensor(output: Any) -> torch.Tensor | None:
    """Return the tensor of a layer's output: itself, or the first one of a tuple or list."""
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, (tuple, list)):
        return next((item for item in output if isinstance(item, torch.Tensor)), None)
    return None


def with_first_tensor(output: Any, tensor: torch.Tensor) -> Any:
    """Return a layer's output with its first tensor replaced, wherever the output holds that same tensor."""
    if isinstance(output, torch.Tensor):
        return tensor
    first = first_tensor(output)
    items = [tensor if item is first else item for item in output]
    if isinstance(output, tuple) and hasattr(output, "_make"):
        return output._make(items)
    return type(output)(items)


def is_spatial(tensor: torch.Tensor) -> bool:
    """Return whether a tensor reads as (B, C, h, w) with a grid larger than 1 x 1."""
    return tensor.ndim == 4 and tensor.shape[2] * tensor.shape[3] > 1 and tensor.is_floating_point()
