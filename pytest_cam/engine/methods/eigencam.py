"""Eigen-CAM: Muhammad and Yeasin, arXiv 2008.00299, section III."""

from __future__ import annotations

import torch

from pytest_cam.engine.methods.principal_component import as_maps, deviations, first_component, upright


def eigencam(activations: torch.Tensor) -> torch.Tensor:
    """Return relu(p), p being the first principal component of the positions' channels.

    Without gradients and without a target: the map says where the layer differs most from its own mean, whatever is
    explained, and also at a layer that the score does not read: only gradients or further passes would show that. The
    paper calls the map a principal component, yet decomposes A as it is; the first direction of that is
    little more than the mean of the channels. Like pytorch-grad-cam, this centres every channel over the positions, as
    principal components are defined. The sign is the one for which the mean correlation of p with the channels is
    positive. Where two components explain equally much, neither is the first, and either may come out.

    Args:
        activations: A, (B, C, h, w).

    Returns:
        The maps (B, h, w), >= 0, not normalised, in the units of A; zeros for activations that are the same everywhere.
    """
    rows = deviations(activations)
    return as_maps(upright(first_component(rows), rows), activations)
