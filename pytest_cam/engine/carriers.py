"""Outputs of layers that carry a tensor among other things."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch


def tensors_in(output: Any) -> Iterator[torch.Tensor]:
    """Return the tensors in a tuple, list or dict."""
    items = output.values() if isinstance(output, Mapping) else output if isinstance(output, (tuple, list)) else ()
    yield from (item for item in items if isinstance(item, torch.Tensor))


def with_tensor(output: Any, old: torch.Tensor, new: torch.Tensor) -> Any:
    """Return a layer's output with one tensor replaced, wherever the output holds it."""
    if isinstance(output, torch.Tensor):
        return new
    if isinstance(output, Mapping):
        replaced: Any = copy.copy(output)
        for key, item in output.items():
            if item is old:
                replaced[key] = new
        return replaced
    items = [new if item is old else item for item in output]
    if isinstance(output, tuple) and hasattr(output, "_make"):
        return output._make(items)
    return type(output)(items)
