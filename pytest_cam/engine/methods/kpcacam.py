"""KPCA-CAM: Karmani et al., arXiv 2410.00267."""

from __future__ import annotations

import math

import torch

from pytest_cam.engine.methods.option_values import positive
from pytest_cam.engine.methods.principal_component import as_maps, deviations, upright
from pytest_cam.errors import is_ours

__tracebackhide__ = is_ours


def kpcacam(activations: torch.Tensor, *, gamma: float | None = None) -> torch.Tensor:
    """Return relu(p), p being the first kernel principal component of the positions' channels.

    The kernel is the sigmoid, k(x, y) = tanh(gamma x.y + 1), which the authors' own code in pytorch-grad-cam has as its
    default, of channels centred over the positions. It is no positive definite kernel: the first component is that of
    the largest eigenvalue of the centred kernel matrix, and negative ones, which no variance has, are left out. The
    sign is as in `eigencam`. The kernel bends with the size of the activations: small ones give the map of Eigen-CAM
    but for a factor, large ones one of two levels.

    The matrix has the size of the grid, h * w on each side, and is decomposed as it is: a grid of 14 x 14 takes
    milliseconds, one of 56 x 56 seconds, and one of 112 x 112 minutes and gigabytes.

    Args:
        activations: A, (B, C, h, w).
        gamma: The steepness of the kernel, above 0; 1 / C where it is not given.

    Returns:
        The maps (B, h, w), >= 0, not normalised, of no unit.

    Raises:
        MethodError: gamma is not above 0.
    """
    steepness = 1 / activations.shape[1] if gamma is None else positive("kpcacam", "gamma", gamma)
    rows = deviations(activations)
    components = torch.stack([_component(image, steepness) for image in rows])
    return as_maps(upright(components, rows), activations)


def _component(rows: torch.Tensor, gamma: float) -> torch.Tensor:
    # Centring takes every constant off the kernel. By tanh(x + 1) - tanh(1) = tanh(x) (1 - t^2) / (1 + t tanh(x)), with
    # t = tanh(1), the constant goes before small activations lose their digits to it.
    level = math.tanh(1)
    bent = (gamma * (rows @ rows.mT)).tanh()
    kernel = bent * (1 - level**2) / (1 + level * bent)
    kernel = kernel - kernel.mean(dim=0, keepdim=True)
    kernel = kernel - kernel.mean(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh((kernel + kernel.mT) / 2)
    projection: torch.Tensor = vectors[:, -1] * values[-1].sqrt()
    return projection
