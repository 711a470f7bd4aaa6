"""Grad-CAM: Selvaraju et al., arXiv 1610.02391, equations 1 and 2."""

from __future__ import annotations

import torch


def gradcam(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return relu(sum_k w_k A_k) with w_k = mean_ij G_k.

    Args:
        activations: A, (B, C, h, w).
        gradients: G = d score / d A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1).relu()
