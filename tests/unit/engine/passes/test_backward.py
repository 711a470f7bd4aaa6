"""The gradient of class scores: a linear head gives a row of its weight, and everything else is left to autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pytest_cam.engine.passes import backward
from pytest_cam.engine.passes.backward import gradients_at
from pytest_cam.engine.scores.targets import scores_of

Head = Callable[[torch.Tensor], torch.Tensor]


def linear(**settings: bool) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(6, 4, **settings)


def frozen() -> nn.Linear:
    return linear().requires_grad_(False)


def tied(features: torch.Tensor) -> torch.Tensor:
    return torch.addmm(features.mean().expand(4), features, linear().weight.t())


def computed(features: torch.Tensor) -> torch.Tensor:
    return nn.functional.linear(features, features[:1].expand(4, 6) * linear().weight, linear().bias)


def scaled(features: torch.Tensor) -> torch.Tensor:
    return torch.addmm(linear().bias, features, linear().weight.t(), alpha=3)


def hooked(features: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = linear()(features)
    logits.register_hook(lambda gradient: 2 * gradient)
    return logits


def followed(features: torch.Tensor) -> torch.Tensor:
    return linear()(features).tanh()


HEADS = [linear(), linear(bias=False), frozen(), tied, computed, scaled, hooked, followed]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("targets", [[2], [0, 3], [1, 1, None], [lambda row: row.sum(), 2]])
def test_gradient_is_that_of_autograd(head: Head, targets: list[object]) -> None:
    torch.manual_seed(1)
    leaf = torch.randn(len(targets), 6, requires_grad=True)
    logits = head(leaf * 2)
    scores = scores_of(logits, targets, None)  # type: ignore[arg-type]
    picked = [sign * logits[index, column] for index, column, sign in scores.classes] + scores.called
    (expected,) = torch.autograd.grad(sum(picked), [leaf], retain_graph=True)  # type: ignore[arg-type]
    (found,) = gradients_at([leaf], scores)
    assert found is not None
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("targets", [[1], [0], [None, 0, 1]])
@pytest.mark.parametrize("after", [nn.Identity(), nn.Flatten(), nn.Flatten(0)])
def test_single_logit_is_differentiated_with_its_sign(targets: list[object], after: nn.Module) -> None:
    leaf = torch.randn(len(targets), 6, requires_grad=True)
    head = nn.Linear(6, 1)
    scores = scores_of(after(head(leaf)), targets, None)  # type: ignore[arg-type]
    (found,) = gradients_at([leaf], scores)
    assert found is not None
    signs = torch.tensor([1.0 if item.target == 1 else -1.0 for item in scores.explained])
    assert torch.equal(found, signs[:, None] * head.weight.detach())


def test_only_a_plain_linear_head_is_stepped_over() -> None:
    leaf = torch.randn(2, 6, requires_grad=True)
    stepped = [backward._linear_head(head(leaf * 2)) is not None for head in HEADS]
    assert stepped == [True, False, False, False, False, False, False, False]


def test_head_that_reads_the_leaf_itself() -> None:
    leaf = torch.randn(1, 6, requires_grad=True)
    head = linear()
    (found,) = gradients_at([leaf], scores_of(head(leaf), [3], None))
    assert found is not None
    assert torch.equal(found[0], head.weight[3])


def test_no_path_gives_none() -> None:
    leaf = torch.randn(1, 6, requires_grad=True)
    assert gradients_at([leaf], scores_of(linear()(torch.ones(1, 6)), [3], None)) == [None]
    assert gradients_at([leaf], scores_of(torch.ones(1, 4), [3], None)) == [None]


def test_a_score_without_a_graph_adds_nothing() -> None:
    leaf = torch.randn(2, 6, requires_grad=True)
    logits = nn.functional.linear(leaf, linear().weight)
    (found,) = gradients_at([leaf], scores_of(logits, [lambda row: row.detach().sum(), lambda row: row.sum()], None))
    assert found is not None
    assert not found[0].any()
    torch.testing.assert_close(found[1], linear().weight.detach().sum(dim=0))
