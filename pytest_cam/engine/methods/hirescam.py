"""HiResCAM: Draelos and Carin, arXiv 2011.08891, equation 3."""

from __future__ import annotations

import torch


def hirescam(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return relu(sum_k G_k * A_k), element by element.

    Args:
        activations: A, (B, C, h, w).
        gradients: G = d score / d A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised.
    """
    return (gradients * activations).sum(dim=1).relu()
