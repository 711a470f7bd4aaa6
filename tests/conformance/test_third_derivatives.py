"""Grad-CAM++ against its definition: the second and third derivatives of Y = exp(score), taken by autograd.

Equation 10 of arXiv 1710.11063 has a_ij = Y'' / (2 Y'' + sum_ab A_ab Y'''), the derivatives with respect to A_ij.
Where the score is piecewise linear in A, equation 19 follows from it.
"""

from __future__ import annotations

import torch
from torch import nn

from pytest_cam import attend


def piecewise_linear() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(3 * 4 * 4, 10), nn.ReLU(), nn.Linear(10, 4)
    ).double()


def derivatives(score: torch.Tensor, activations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return Y', Y'' and Y''' of Y = exp(score) with respect to each element on its own."""
    (first,) = torch.autograd.grad(score.exp(), activations, create_graph=True)
    second, third = [], []
    for index, slope in enumerate(first.flatten()):
        (row,) = torch.autograd.grad(slope, activations, create_graph=True)
        curvature = row.flatten()[index]
        second.append(curvature)
        third.append(torch.autograd.grad(curvature, activations, retain_graph=True)[0].flatten()[index])
    return first, torch.stack(second).view_as(first), torch.stack(third).view_as(first)


def test_weights_are_those_of_the_derivatives_of_exp_score() -> None:
    model = piecewise_linear()
    picture = torch.randn(1, 1, 6, 6, dtype=torch.float64)
    for target in range(4):
        activations = model[0](picture).detach().requires_grad_()
        score = model[1:](activations)[0, target]
        first, second, third = derivatives(score, activations)
        total = activations.sum(dim=(2, 3), keepdim=True)
        assert bool((activations.sum(dim=(2, 3)) < 0).any()), "both signs, or half of the formula is not tried"
        alpha = second / (2 * second + total * third)
        # Equation 5 with the score's own gradient: Y' / Y.
        weights = (alpha * (first / score.exp()).relu()).sum(dim=(2, 3), keepdim=True)
        expected = (weights * activations).sum(dim=1).relu()[0].detach()
        assert float(expected.max()) > 0
        found = torch.tensor(attend(model, picture, layer="0", target=target).map)
        assert float((found - expected).abs().max() / expected.max()) < 1e-6
