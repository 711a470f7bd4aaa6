"""What shows that a pass can be replayed, and what shows that it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as module_hooks

from pytest_cam.engine.model.bits import same_bits
from pytest_cam.engine.reading.nested import tensors_in

# By how much rows of a batch may differ from a batch of one, as a share of the largest value: kernels round otherwise.
_ROUNDING = 1e-4


def hooked(model: nn.Module) -> str:
    """Return whose hooks would see what a replay leaves out, in words, or ""."""
    if module_hooks._global_forward_hooks or module_hooks._global_forward_pre_hooks:
        return "there are forward hooks on all modules"
    for name, module in model.named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            return f"there are forward hooks on {name or 'the model'!r}"
    return ""


def is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors are the same to the bit."""
    return one.dtype == other.dtype and one.shape == other.shape and same_bits(one, other)


def agree(is_alike: Callable[[torch.Tensor, torch.Tensor], bool], output: Any, expected: list[torch.Tensor]) -> bool:
    """Return whether the tensors in an output are like the expected ones, one by one."""
    found = list(tensors_in(output))
    return len(found) == len(expected) and all(map(is_alike, found, expected))


def has_rows(two: torch.Tensor, one: torch.Tensor) -> bool:
    """Return whether both rows of a tensor are those of another, or all of it is, but for rounding."""
    if two.dtype != one.dtype or two.shape not in ((2, *one.shape[1:]) if one.shape[:1] == (1,) else (), one.shape):
        return False
    if not one.is_floating_point():
        return bool((two == one).all())
    share = max(_ROUNDING, 8 * torch.finfo(one.dtype).eps)
    largest = float(one.abs().nan_to_num(posinf=0.0).amax()) if one.numel() else 0.0
    return torch.allclose(two, one.expand_as(two), rtol=0.0, atol=share * largest, equal_nan=True)
