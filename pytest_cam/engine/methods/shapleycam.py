"""ShapleyCAM: Cai, arXiv 2501.06261."""

from __future__ import annotations

import torch


def shapleycam(activations: torch.Tensor, gradients: torch.Tensor, curvature: torch.Tensor) -> torch.Tensor:
    """Return relu(sum_k w_k A_k) with w_k = mean_ij (G - H.A / 2)_k.

    The score of a part of the layer is taken from its Taylor expansion at A, up to second order; the Shapley values of
    that game are (G - H.A / 2) * A. Where the score is piecewise linear in A, H is zero and the map is that of
    Grad-CAM: a logit of a network whose only nonlinearities after the layer are ReLUs and max pooling, for example. The
    paper therefore explains the logit plus the logarithm of its softmax, which a callable target can do.

    Args:
        activations: A, (B, C, h, w).
        gradients: G = d score / d A, (B, C, h, w).
        curvature: H.A, the Hessian of the score in A times A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised.
    """
    weights = (gradients - curvature / 2).mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1).relu()
