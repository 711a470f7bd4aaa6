"""Grad-CAM++: Chattopadhyay et al., arXiv 1710.11063, equations 5 and 19."""

from __future__ import annotations

import torch

from pytest_cam.engine.methods.precision import widest


def gradcam_plus_plus(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return relu(sum_k w_k A_k) with w_k = sum_ij a_ij relu(G_ij).

    Equation 19 has a_ij = G_ij^2 / (2 G_ij^2 + sum_ab A_ab G_ij^3), for Y = exp(score), whose factor exp(score)
    cancels in a_ij. Where G_ij is not zero that is 1 / (2 + G_ij sum_ab A_ab): without squares and cubes nothing
    underflows, and no epsilon is needed. Only G_ij > 0 counts, so the denominator can vanish only in a channel
    whose activations sum to less than zero; such a place, where the formula has no value, counts nothing.

    Args:
        activations: A, (B, C, h, w).
        gradients: G = d score / d A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised.
    """
    # Near the pole of a_ij two numbers of about 2 cancel; only double precision leaves digits there.
    wide = widest(activations)
    total = activations.sum(dim=(2, 3), keepdim=True, dtype=wide)
    positive = gradients.relu()
    terms = (positive / (2 + positive * total)).nan_to_num(nan=torch.nan, posinf=0.0, neginf=0.0)
    weights = terms.sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1).relu()
