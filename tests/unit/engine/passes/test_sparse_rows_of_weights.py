"""Backward passes that leave out rows of a wide layer's weight, those whose gradient is zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from pytest_cam import attend
from pytest_cam.engine.model import module_tree
from pytest_cam.engine.passes.sparse_rows import SparseRows


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(1))


class WithHead(nn.Module):
    """One convolution, and a head of two layers with a ReLU between, as VGG's."""

    def __init__(self, hidden: int = 12) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Conv2d(3, 4, 3, padding=1)
        self.hidden = nn.Linear(4 * 12 * 16, hidden)
        self.head = nn.Linear(hidden, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(functional.relu(self.hidden(self.features(images).flatten(1)), inplace=True))


@pytest.fixture
def everything_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_tree, "_WIDE", 1)


@pytest.mark.usefixtures("everything_is_wide")
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_weights_that_are_stored_sparsely_are_left_to_autograd(image: torch.Tensor) -> None:
    dense, sparse = WithHead().eval(), WithHead().eval()
    sparse.hidden.weight = nn.Parameter(sparse.hidden.weight.detach().to_sparse_csr(), requires_grad=False)
    maps = [attend(model, image, layer="features", target=3).map for model in (dense, sparse)]
    np.testing.assert_allclose(maps[1], maps[0], rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("everything_is_wide")
def test_default_device_may_be_another_one(image: torch.Tensor) -> None:
    model = WithHead().eval()
    expected = attend(model, image, layer="features", target=3).map
    with torch.device("meta"):
        np.testing.assert_array_equal(attend(model, image, layer="features", target=3).map, expected)


@pytest.mark.usefixtures("everything_is_wide")
@pytest.mark.parametrize("read", [[0], [0, 2], list(range(20)), []])
@pytest.mark.parametrize("has_bias", [True, False])
def test_gradient_of_one_image_is_that_of_all_rows_of_the_weight(read: list[int], has_bias: bool) -> None:
    drawn = torch.Generator().manual_seed(0)
    one = torch.randn(1, 7, generator=drawn).requires_grad_()
    weight, bias = torch.randn(20, 7, generator=drawn), torch.randn(20, generator=drawn) if has_bias else None

    def gradient() -> torch.Tensor:
        output = functional.linear(one, weight, bias)
        return torch.autograd.grad(output[:, read].square().sum(), one)[0]

    dense = gradient()
    with SparseRows():
        sparse = gradient()
    torch.testing.assert_close(sparse, dense, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("everything_is_wide")
@pytest.mark.parametrize(
    ("inputs", "is_left_out"),
    [
        (torch.ones(1, 7), True),
        (torch.ones(2, 7), False),
        (torch.ones(7), False),
        (torch.ones(1, 1, 1, 7), False),
        (torch.ones(1, 7, dtype=torch.float64), False),
    ],
)
def test_rows_of_the_weight_are_left_out_for_one_image(inputs: torch.Tensor, is_left_out: bool) -> None:
    inputs.requires_grad_()
    weight = torch.ones(3, 7, dtype=inputs.dtype)
    weight[1] = torch.nan  # which shows whether it is read
    with SparseRows():
        functional.linear(inputs, weight)[..., 0].sum().backward()
    assert inputs.grad is not None
    assert bool(inputs.grad.isfinite().all()) == is_left_out


@pytest.mark.usefixtures("everything_is_wide")
def test_gradient_of_one_image_can_be_differentiated_again() -> None:
    one = torch.randn(1, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.randn(20, 7, generator=torch.Generator().manual_seed(1))

    def curvature() -> torch.Tensor:
        score = functional.linear(one, weight).relu().square().sum()
        (gradient,) = torch.autograd.grad(score, one, create_graph=True)
        return torch.autograd.grad(gradient.sum(), one)[0]

    dense = curvature()
    with SparseRows():
        sparse = curvature()
    torch.testing.assert_close(sparse, dense)
    assert dense.abs().max() > 1


@pytest.mark.parametrize("method", ["gradcam++", "gradcam", "hirescam", "layercam", "shapleycam"])
@pytest.mark.parametrize("is_known", [True, False])
def test_maps_of_a_wide_head_are_the_same(
    image: torch.Tensor, method: str, is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model() -> nn.Module:
        made = WithHead().eval()
        if not is_known:
            return made
        parts = (made.features, nn.Flatten(), made.hidden, nn.ReLU(inplace=True), made.head)
        return nn.Sequential(*parts).eval()

    layer = "0" if is_known else "features"
    dense = attend(model(), image, method=method, layer=layer, target=3).map
    monkeypatch.setattr(module_tree, "_WIDE", 1)
    wide = model()
    nodes: list[str] = []
    wide.get_submodule("2" if is_known else "hidden").register_forward_hook(
        lambda _, args, output: nodes.append(str(output.grad_fn))
    )
    sparse = attend(wide, image, method=method, layer=layer, target=3).map
    assert "SparseLinear" in nodes[-1]
    np.testing.assert_allclose(sparse, dense, rtol=1e-5, atol=1e-6)
    assert sparse.max() > 0


@pytest.mark.usefixtures("everything_is_wide")
@pytest.mark.parametrize("is_trained", [True, False])
def test_maps_of_a_checkpointed_head_are_the_same(image: torch.Tensor, is_trained: bool) -> None:
    class Checkpointed(WithHead):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(checkpoint(self.top, self.features(images).flatten(1), use_reentrant=False))  # type: ignore[no-any-return]

        def top(self, values: torch.Tensor) -> torch.Tensor:
            return functional.relu(self.hidden(values))

    # Of a square weight, its transpose goes for it unseen.
    plain, checkpointed = WithHead(768).eval(), Checkpointed(768).eval().requires_grad_(is_trained)
    dense, sparse = (attend(model, image, layer="features", target=3).map for model in (plain, checkpointed))
    np.testing.assert_allclose(sparse, dense, rtol=1e-5, atol=1e-6)
    assert sparse.max() > 0


@pytest.mark.parametrize("hidden", [5461, 5462])
def test_what_is_wide_has_four_million_values(image: torch.Tensor, hidden: int) -> None:
    model = WithHead(hidden).eval()
    nodes: list[str] = []
    model.hidden.register_forward_hook(lambda _, args, output: nodes.append(str(output.grad_fn)))
    attend(model, image, layer="features", target=3)
    assert ("SparseLinear" in nodes[-1]) == (hidden * 768 >= 2**22)
