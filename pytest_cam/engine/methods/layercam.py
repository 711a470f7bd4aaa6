"""LayerCAM: Jiang et al., IEEE Transactions on Image Processing 30, 2021, equations 6 to 8."""

from __future__ import annotations

import torch


def layercam(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return relu(sum_k relu(G_k) * A_k), element by element.

    Args:
        activations: A, (B, C, h, w).
        gradients: G = d score / d A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised.
    """
    return (gradients.relu() * activations).sum(dim=1).relu()
