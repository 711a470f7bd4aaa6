"""Images go through torch's own networks with the channels last where that is faster, else as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from pytest_cam import attend, attend_batch, register_method
from pytest_cam.engine import methods


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.mobilenet_v3_small(num_classes=5).eval()


class Viewing(nn.Module):
    """Reads its input by `view`, which knows no other layout than the usual one."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.net(images.view(len(images), -1).view(images.shape))
        return found


def has_channels_last(inputs: torch.Tensor) -> bool:
    return inputs.is_contiguous(memory_format=torch.channels_last)


def map_of(model: nn.Module, layer: str) -> Any:
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    return attend(model, image, layer=layer, method="scorecam", target=1).map


def test_maps_are_those_of_the_usual_layout(network: nn.Module, run_on: list[torch.Tensor]) -> None:
    found = map_of(network, "features.3")
    assert len(run_on) > 1
    assert all(map(has_channels_last, run_on))
    run_on.clear()
    expected = map_of(Viewing(network).eval(), "net.features.3")
    assert run_on
    assert not any(map(has_channels_last, run_on))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_a_hook_of_the_user_gets_what_it_always_got(network: nn.Module) -> None:
    last: list[bool] = []
    network.features[0].register_forward_pre_hook(  # type: ignore[union-attr]
        lambda _, args: last.append(has_channels_last(args[0]))
    )
    map_of(network, "features.3")
    assert last
    assert not any(last)


def depthwise() -> nn.Module:
    """Return a network without weights that a convolution would lay out anew."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 5),
    ).eval()  # fmt: skip


def large() -> nn.Module:
    """Return a network with 14 400 values of weights to lay out: 100 for each pixel of one image of 12 x 12."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 300, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(300, 2)).eval()


IMAGE = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_one_image_does_where_no_weights_are_laid_out_anew(run_on: list[torch.Tensor]) -> None:
    net = depthwise()
    found = attend(net, IMAGE, layer="2", target=1)
    expected = attend(Viewing(net).eval(), IMAGE, layer="net.2", target=1)
    assert list(map(has_channels_last, run_on)) == [True, False]
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-4)
    assert found.explained.score == pytest.approx(expected.explained.score, rel=1e-5)


def test_where_weights_are_laid_out_anew_it_takes_many_images(run_on: list[torch.Tensor]) -> None:
    net = large()
    attend(net, IMAGE, layer="0", target=0)
    attend_batch(net, [IMAGE, IMAGE.flip(2)], layer="0", target=0)
    assert list(map(has_channels_last, run_on)) == [False, True]


@pytest.mark.parametrize(
    "given",
    [
        {"target": lambda logits: logits.view(5)[1]},
        {"target": 1, "output": lambda logits: logits.view(1, 5)},
        {"target": 1, "reshape": lambda cells: cells.view(1, 8, -1).view(1, 8, 10, 10)},
    ],
)
def test_functions_of_the_user_get_the_usual_layout(given: dict[str, Any], run_on: list[torch.Tensor]) -> None:
    expected = attend(depthwise(), IMAGE, layer="2", target=1)
    run_on.clear()
    found = attend(depthwise(), IMAGE, layer="2", **given)
    assert not any(map(has_channels_last, run_on))
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-4)


def test_so_does_a_registered_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_registered", {})

    @register_method("mine")
    def mine(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        weights = gradients.view(*gradients.shape[:2], -1).mean(dim=2)
        return (weights[:, :, None, None] * activations.view(gradients.shape)).sum(dim=1).relu()

    found = attend(depthwise(), IMAGE, layer="2", target=1, method="mine")
    np.testing.assert_allclose(
        found.map, attend(depthwise(), IMAGE, layer="2", target=1, method="gradcam").map, rtol=1e-4
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_in_other_types_than_float32_the_layout_stays(dtype: torch.dtype, run_on: list[torch.Tensor]) -> None:
    attend(depthwise().to(dtype), IMAGE.to(dtype), layer="2", target=1)
    assert not any(map(has_channels_last, run_on))
