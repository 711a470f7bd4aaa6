"""Grad-CAM and HiResCAM against captum."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from torch import nn

from pytest_cam import attend

# captum hooks the output itself, so these layers are not followed by an operation in place.
LAYERS = [
    ("resnet18", "layer4"),
    ("vgg11_bn", "features"),
    ("mobilenet_v2", "features"),
    ("densenet121", "features.denseblock3"),
]


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    assert float(expected.max()) > 0
    return float((found - expected).abs().max() / expected.max())


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_gradcam_is_captums(network: Callable[[str], nn.Module], picture: torch.Tensor, name: str, layer: str) -> None:
    model = network(name)
    attention = attend(model, picture, layer=layer, method="gradcam")
    captum = LayerGradCam(model, model.get_submodule(layer))
    expected = captum.attribute(picture, target=attention.target, relu_attributions=True)[0, 0].detach()
    assert relative_error(torch.tensor(attention.map), expected) < 1e-5


@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_hirescam_is_captums_gradient_times_activation(
    network: Callable[[str], nn.Module], picture: torch.Tensor, name: str, layer: str
) -> None:
    model = network(name)
    attention = attend(model, picture, layer=layer, method="hirescam")
    captum = LayerGradientXActivation(model, model.get_submodule(layer))
    expected = captum.attribute(picture, target=attention.target)[0].sum(dim=0).relu().detach()
    assert relative_error(torch.tensor(attention.map), expected) < 1e-5
