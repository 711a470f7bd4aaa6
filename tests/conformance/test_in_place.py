"""A layer followed by an operation in place: the map is that of the same network without such operations."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import attend

METHODS = ["gradcam", "gradcam++", "hirescam", "layercam", "xgradcam"]


class Residual(nn.Module):
    """A layer, then `x += shortcut` and a ReLU, in place or not."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layer = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=in_place)
        self.head = nn.Linear(4, 5)
        self.in_place = in_place

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        shortcut = self.stem(images)
        features = self.layer(shortcut)
        if self.in_place:
            features += shortcut
        else:
            features = features + shortcut
        return self.head(self.relu(features).mean(dim=(2, 3)))


class GoingOn(nn.Module):
    """A ReLU, after which the model goes on both with what it returned and with what it was given."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.stem, self.relu = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=in_place)
        self.layer, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 5)
        self.in_place = in_place

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        given = self.stem(images)
        returned = self.relu(given)
        features = self.layer(returned) + (given if self.in_place else returned)
        return self.head(features.mean(dim=(2, 3)))


def without_in_place(model: nn.Module) -> nn.Module:
    twin = copy.deepcopy(model)
    for module in twin.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return twin


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layer", ["stem", "layer", "relu", None])
def test_addition_and_relu_in_place_do_not_change_the_map(layer: str | None, method: str) -> None:
    picture = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    in_place = attend(Residual(in_place=True), picture, layer=layer, method=method)
    plain = attend(Residual(in_place=False), picture, layer=layer, method=method)
    assert float(plain.map.max()) > 0
    assert (in_place.layer, in_place.map.tolist()) == (plain.layer, plain.map.tolist())


@pytest.mark.parametrize("method", [*METHODS, "shapleycam", "ablationcam", "smoothgradcam++"])
@pytest.mark.parametrize("layer", ["relu", ["stem", "relu"]])
def test_layer_in_place_is_explained_under_either_of_its_names(layer: str | list[str], method: str) -> None:
    picture = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    in_place, plain = (attend(GoingOn(in_place=each), picture, layer=layer, method=[method]) for each in (True, False))
    for found, expected in zip(in_place, plain, strict=True):
        assert float(expected.map.max()) > 0
        np.testing.assert_allclose(found.map, expected.map, rtol=1e-5, atol=1e-5 * expected.map.max())


@pytest.mark.parametrize("method", ["gradcam++", "hirescam"])
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        # Followed by ReLU(inplace=True), and itself one.
        ("vgg11_bn", "features.26"),
        ("vgg11_bn", "features.27"),
        # Followed by ReLU6(inplace=True).
        ("mobilenet_v2", "features.18.1"),
        # Followed by ReLU(inplace=True) inside a block; the shortcut is added in place after it.
        ("resnet18", "layer4.1.bn1"),
    ],
)
def test_torchvision_networks_without_their_in_place_modules_have_the_same_map(
    network: Callable[[str], nn.Module], picture: torch.Tensor, name: str, layer: str, method: str
) -> None:
    model = network(name)
    in_place = attend(model, picture, layer=layer, method=method)
    plain = attend(without_in_place(model), picture, layer=layer, method=method)
    assert float(plain.map.max()) > 0
    assert in_place.map.tolist() == plain.map.tolist()


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "mobilenet_v2", "densenet121"])
def test_automatic_layer_has_the_map_of_that_layer_named(
    network: Callable[[str], nn.Module], picture: torch.Tensor, name: str
) -> None:
    # Between the last modules of these networks there are additions and ReLUs in place on one and the same tensor.
    model = network(name)
    found = attend(model, picture)
    named = attend(model, picture, layer=found.layer)
    assert float(named.map.max()) > 0
    assert found.map.tolist() == named.map.tolist()
