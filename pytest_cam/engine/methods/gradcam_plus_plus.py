"""Grad-CAM++: Chattopadhyay et al., arXiv 1710.11063, equations 5 and 19."""

from __future__ import annotations

import torch

from pytest_cam.engine.methods.precision import widest

# From here on float32 gives the denominator to 2e-6 of its value.
_NEAR_POLE = 0.25


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
    total = activations.sum(dim=(2, 3), keepdim=True, dtype=widest(activations))
    positive = gradients.relu()
    denominator = (positive * total.to(activations.dtype)).add_(2)
    # Near the pole of a_ij, which only a channel with a negative sum has, two numbers of about 2 cancel, and only
    # double precision leaves digits there. (Written so that NaN goes the same way.)
    if not float(denominator.amin()) >= _NEAR_POLE:
        denominator = (positive * total).add_(2)
        terms = (positive / denominator).nan_to_num_(nan=torch.nan, posinf=0.0)
    else:
        terms = positive.div_(denominator)
    weights = terms.sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1).relu()
