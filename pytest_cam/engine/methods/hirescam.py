"""HiResCAM: Draelos and Carin, arXiv 2011.08891, equation 3."""

from __future__ import annotations

import torch

# Up to how many times the precision of a number what is left of a sum may be rounding.
_ROUNDING = 16


def hirescam(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Return relu(sum_k G_k * A_k), element by element.

    Where all that follows a layer norms the channels of each position, as in the last but one block of a vision
    transformer, the score does not change with the size of A, and so the sum is zero at every position. What rounding
    leaves of it has places, too: a map of nothing but that is a map of zeros.

    Args:
        activations: A, (B, C, h, w).
        gradients: G = d score / d A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised.
    """
    products = gradients * activations
    sums = products.sum(dim=1)
    rounding = _ROUNDING * torch.finfo(sums.dtype).eps * products.abs().sum(dim=1).amax(dim=(1, 2), keepdim=True)
    return torch.where(sums.abs().amax(dim=(1, 2), keepdim=True) < rounding, 0.0, sums).relu()
