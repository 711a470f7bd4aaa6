"""The first principal component over the positions of a layer, and its sign."""

from __future__ import annotations

import torch

# A mean of correlations below this is what rounding leaves of zero.
_NO_CORRELATION = 1e-9


def deviations(tensor: torch.Tensor) -> torch.Tensor:
    """Return every position's channels less their mean over the positions.

    Args:
        tensor: (B, C, h, w).

    Returns:
        (B, h * w, C), float64, on the CPU: the decompositions are small, and come out alike for every device.
    """
    rows = tensor.detach().cpu().double().flatten(2).transpose(1, 2)
    # What a mean leaves of a constant channel is rounding, unless the constant goes first.
    rows = rows - rows.amin(dim=1, keepdim=True)
    return rows - rows.mean(dim=1, keepdim=True)


def first_component(rows: torch.Tensor) -> torch.Tensor:
    """Return the projection of every position on the first principal axis, of no particular sign.

    Args:
        rows: What `deviations` returns, (B, n, C).

    Returns:
        (B, n), in the units of the rows.
    """
    # The smaller of the two matrices of products. In float64 those of float32 numbers neither over- nor underflow.
    if rows.shape[1] <= rows.shape[2]:
        values, vectors = torch.linalg.eigh(rows @ rows.mT)
        projection: torch.Tensor = vectors[..., -1] * values[..., -1:].sqrt()
    else:
        axes = torch.linalg.eigh(rows.mT @ rows).eigenvectors
        projection = (rows @ axes[..., -1:]).squeeze(-1)
    return projection


def upright(projection: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return a component with the sign for which its correlation with the channels, in their mean, is positive.

    A decomposition leaves the sign open, and libraries choose it differently from machine to machine. A constant
    channel has no correlation and counts nothing. The mean of covariances would not do: the channels of a layer that is
    normalised over them sum to the same at every position, and so all covariances cancel.

    Args:
        projection: (B, n).
        rows: What `deviations` returns, (B, n, C).

    Returns:
        (B, n); zeros where the correlations cancel, as those of two opposite channels do: no side is positive then.
    """
    lengths = rows.norm(dim=1) * projection.norm(dim=1, keepdim=True)
    products = (projection.unsqueeze(-1) * rows).sum(dim=1)
    mean: torch.Tensor = torch.where(lengths == 0, 0.0, products / lengths).mean(dim=1, keepdim=True)
    return projection * torch.where(mean.abs() < _NO_CORRELATION, 0.0, mean.sign())


def as_maps(projection: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return what is positive in a component as maps.

    Args:
        projection: (B, h * w), float64, on the CPU.
        like: The activations (B, C, h, w), whose grid, type and device the maps get.

    Returns:
        (B, h, w), >= 0.
    """
    return projection.relu().view(like[:, 0].shape).to(like.dtype).to(like.device)
