"""Eigen-Grad-CAM: Eigen-CAM of gradient times activation, as in pytorch-grad-cam (no paper of its own)."""

from __future__ import annotations

import torch

from pytest_cam.engine.methods.eigencam import eigencam
from pytest_cam.engine.methods.precision import widest


def eigengradcam(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return relu(p), p being the first principal component of the positions' channels of G * A.

    Centring and sign are those of `eigencam`: p goes up where G * A, what each element adds to the score, goes up.

    Args:
        activations: A, (B, C, h, w).
        gradients: G = d score / d A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised, in the units of the score.
    """
    return eigencam(gradients.to(widest(gradients)) * activations).to(activations.dtype)
