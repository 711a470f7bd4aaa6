"""Masked images go through torch's own networks with the channels last, and as they are through others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from pytest_cam import attend


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=5).eval()


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
    found = map_of(network, "layer2")
    last = list(map(has_channels_last, run_on))
    assert last.count(True) == len(last) - 1 > 0  # all but the image as it is
    run_on.clear()
    expected = map_of(Viewing(network).eval(), "net.layer2")
    assert run_on
    assert not any(map(has_channels_last, run_on))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_a_hook_of_the_user_gets_what_it_always_got(network: nn.Module) -> None:
    last: list[bool] = []
    network.conv1.register_forward_pre_hook(  # type: ignore[union-attr]
        lambda _, args: last.append(has_channels_last(args[0]))
    )
    map_of(network, "layer2")
    assert last
    assert not any(last)
