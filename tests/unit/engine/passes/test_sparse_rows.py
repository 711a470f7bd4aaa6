"""Backward passes that leave out what is multiplied by zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional
from torch.overrides import TorchFunctionMode, _get_current_function_mode

from pytest_cam import attend
from pytest_cam.engine.passes import tap
from pytest_cam.engine.passes.sparse_rows import SparseRows


class ReadsFirstToken(nn.Module):
    """Patches of 4 x 4 pixels after a class token, one attention, one linear layer over all tokens, and a head."""

    def __init__(self, mode: TorchFunctionMode | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Linear(8, 8)
        self.head = nn.Linear(8, 5)
        self.mode = mode

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        cells = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1)
        if self.mode is None:
            return self._tail(tokens)
        with self.mode:
            return self._tail(tokens)

    def _tail(self, tokens: torch.Tensor) -> torch.Tensor:
        seen = self.norm(tokens)
        seen = tokens + self.attention(seen, seen, seen, need_weights=False)[0]
        return self.head((seen + self.mlp(seen).tanh())[:, 0])


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("read", [[0], [0, 2], [0, 1, 2], []])
@pytest.mark.parametrize("has_bias", [True, False])
def test_gradients_are_those_of_all_rows(read: list[int], has_bias: bool) -> None:
    drawn = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 3, 4, generator=drawn, dtype=torch.float64).requires_grad_()
    weight = torch.randn(5, 4, generator=drawn, dtype=torch.float64)
    bias = torch.randn(5, generator=drawn, dtype=torch.float64) if has_bias else None

    def score(tokens: torch.Tensor) -> torch.Tensor:
        return functional.linear(tokens, weight, bias)[:, read].tanh().sum()

    (dense,) = torch.autograd.grad(score(tokens), tokens)
    with SparseRows():
        sparse_score = score(tokens)
        (sparse,) = torch.autograd.grad(sparse_score, tokens)
        assert gradcheck(score, (tokens,))
        assert gradgradcheck(score, (tokens,))
    assert torch.equal(sparse_score, score(tokens))
    torch.testing.assert_close(sparse, dense, rtol=1e-14, atol=0)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("part", [slice(None), slice(2)])
def test_what_a_layer_returns_may_be_overwritten(part: slice, has_bias: bool) -> None:
    drawn = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 3, 4, generator=drawn, dtype=torch.float64).requires_grad_()
    weight = torch.randn(5, 4, generator=drawn, dtype=torch.float64)
    bias = torch.randn(5, generator=drawn, dtype=torch.float64) if has_bias else None

    def score() -> torch.Tensor:
        output = functional.linear(tokens, weight, bias)
        functional.relu(output[..., part], inplace=True)
        return output[:, 0].square().sum()

    (dense,) = torch.autograd.grad(score(), tokens)
    with SparseRows():
        (sparse,) = torch.autograd.grad(score(), tokens)
    torch.testing.assert_close(sparse, dense, rtol=1e-14, atol=0)


@pytest.mark.parametrize("method", ["gradcam++", "gradcam", "shapleycam", "legrad"])
def test_maps_of_a_transformer_are_the_same(image: torch.Tensor, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ReadsFirstToken().eval()
    given = {} if method == "legrad" else {"layer": "norm"}
    nodes: list[str] = []
    model.mlp.register_forward_hook(lambda _, args, output: nodes.append(str(output.grad_fn)))
    sparse = attend(model, image, method=method, target=3, **given).map
    monkeypatch.setattr(tap, "SparseRows", tap.nullcontext)
    dense = attend(model, image, method=method, target=3, **given).map
    np.testing.assert_allclose(sparse, dense, rtol=1e-5, atol=1e-7)
    assert sparse.max() > 0
    assert method == "legrad" or "SparseLinear" in nodes[0]
    assert "SparseLinear" not in nodes[-1]


class Counting(TorchFunctionMode):
    calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def test_a_mode_of_the_models_own_is_left_as_it_was_entered(image: torch.Tensor) -> None:
    mode = Counting()
    attend(ReadsFirstToken(mode).eval(), image, layer="norm", target=1)
    assert mode.calls > 0
    assert _get_current_function_mode() is None
    with Counting() as outer:
        attend(ReadsFirstToken().eval(), image, layer="norm", target=1)
        assert _get_current_function_mode() is outer


def test_no_mode_is_left_after_an_error(image: torch.Tensor) -> None:
    model = ReadsFirstToken().eval()
    model.head = nn.Linear(9, 5)
    with pytest.raises(RuntimeError):
        attend(model, image, layer="norm")
    assert _get_current_function_mode() is None


def test_weights_that_are_computed_and_mixed_precision_are_left_to_autograd(image: torch.Tensor) -> None:
    model = ReadsFirstToken().eval()
    nodes: list[str] = []
    model.mlp.register_forward_hook(lambda _, args, output: nodes.append(str(output.grad_fn)))
    with torch.autocast("cpu", torch.bfloat16):
        attend(model, image, layer="norm", target=1)
    nn.utils.parametrizations.weight_norm(model.mlp)
    attend(model, image, layer="norm", target=1)
    assert not any("SparseLinear" in node for node in nodes)


def per_weight(score: Any, weight: torch.Tensor) -> torch.Tensor:
    return torch.func.vmap(score)(torch.stack([weight, weight / 2]))[None]


def slope(score: Any, weight: torch.Tensor) -> torch.Tensor:
    return torch.func.grad(score)(weight)[:1]


@pytest.mark.parametrize("transformed", [per_weight, slope])
def test_what_torch_func_transforms_is_left_to_autograd(image: torch.Tensor, transformed: Any) -> None:
    class Transformed(ReadsFirstToken):
        def _tail(self, tokens: torch.Tensor) -> torch.Tensor:
            seen = self.norm(tokens)
            return transformed(lambda weight: functional.linear(seen, weight).square().sum(), self.mlp.weight)  # type: ignore[no-any-return]

    found = attend(Transformed().eval(), image, layer="norm", method="hirescam", target=1)
    assert found.map.max() > 0
