"""XGrad-CAM: Fu et al., arXiv 2008.02312, equation 9."""

from __future__ import annotations

import torch

from pytest_cam.engine.methods.precision import widest


def xgradcam(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return relu(sum_k w_k A_k) with w_k = sum_ij G_ij A_ij / sum_ij A_ij.

    A channel whose activations sum to zero has no defined weight and counts nothing.

    Args:
        activations: A, (B, C, h, w).
        gradients: G = d score / d A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised.
    """
    # Activations of both signs cancel: in float32 a sum of zero would come out as a small number of either sign.
    wide = widest(activations)
    total = activations.sum(dim=(2, 3), keepdim=True, dtype=wide)
    weighted = (gradients.to(wide) * activations).sum(dim=(2, 3), keepdim=True)
    weights = torch.where(total == 0, 0.0, weighted / total)
    return (weights * activations).sum(dim=1).relu()
