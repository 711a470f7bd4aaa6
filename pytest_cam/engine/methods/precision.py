"""The precision for sums in which large numbers may cancel."""

from __future__ import annotations

import torch


def widest(tensor: torch.Tensor) -> torch.dtype:
    """Return float64, or the widest type that the tensor's device has."""
    return torch.float32 if tensor.is_mps else torch.float64
