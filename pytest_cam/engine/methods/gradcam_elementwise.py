"""Grad-CAM without pooling, a channel at a time: as in pytorch-grad-cam (no paper)."""

from __future__ import annotations

import torch


def gradcam_elementwise(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return sum_k relu(G_k * A_k), element by element.

    HiResCAM takes the relu after the sum: there channels that speak against the score lower what others say for it, and
    here they count nothing.

    Args:
        activations: A, (B, C, h, w).
        gradients: G = d score / d A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised.
    """
    return (gradients * activations).relu().sum(dim=1)
