"""Every method against its formula in float64, on activations and gradients of real networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from pytest_cam import attend

Array = npt.NDArray[np.float64]
Network = Callable[[str], nn.Module]
Capture = Callable[..., tuple[Array, Array]]

# Two layers each: the last one, and one whose activations have both signs or a finer grid.
LAYERS = [
    ("resnet18", "layer4"),
    ("resnet18", "layer3.1.conv2"),
    ("vgg11_bn", "features"),
    ("vgg11_bn", "features.22"),
    ("mobilenet_v2", "features"),
    ("mobilenet_v2", "features.13"),
    ("densenet121", "features"),
    ("densenet121", "features.denseblock3"),
]
SCALES = [1e-8, 1.0, 1e8]


def weighted(weights: Array, activations: Array) -> Array:
    return np.maximum((weights[:, None, None] * activations).sum(axis=0), 0)


def gradcam(activations: Array, gradients: Array) -> Array:
    return weighted(gradients.mean(axis=(1, 2)), activations)


def gradcam_plus_plus(activations: Array, gradients: Array) -> Array:
    """Equation 19 as it is printed, with the square and the cube."""
    total = activations.sum(axis=(1, 2), keepdims=True)
    denominator = 2 * gradients**2 + total * gradients**3
    alpha = np.divide(gradients**2, denominator, out=np.zeros_like(gradients), where=denominator != 0)
    return weighted((alpha * np.maximum(gradients, 0)).sum(axis=(1, 2)), activations)


def hirescam(activations: Array, gradients: Array) -> Array:
    return np.maximum((gradients * activations).sum(axis=0), 0)


def layercam(activations: Array, gradients: Array) -> Array:
    return np.maximum((np.maximum(gradients, 0) * activations).sum(axis=0), 0)


def xgradcam(activations: Array, gradients: Array) -> Array:
    total = activations.sum(axis=(1, 2))
    shared = (gradients * activations).sum(axis=(1, 2))
    return weighted(np.divide(shared, total, out=np.zeros_like(total), where=total != 0), activations)


FORMULAS = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "hirescam": hirescam,
    "layercam": layercam,
    "xgradcam": xgradcam,
}


def relative_error(found: npt.NDArray[np.float32], expected: Array) -> float:
    assert expected.max() > 0, "a reference of zeros proves nothing: take another class"
    return float(np.abs(found - expected).max() / expected.max())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", ["gradcam", "gradcam++"])
@pytest.mark.parametrize(("name", "layer"), LAYERS)
def test_map_is_the_closed_form_at_every_scale_of_the_logits(
    network: Network, captured: Capture, picture: torch.Tensor, name: str, layer: str, method: str, scale: float
) -> None:
    model = network(name)

    def score(row: torch.Tensor) -> torch.Tensor:
        return scale * row.max()

    expected = FORMULAS[method](*captured(model, picture, layer, score))
    assert relative_error(attend(model, picture, layer=layer, method=method, target=score).map, expected) < 1e-5


@pytest.mark.parametrize("method", ["hirescam", "layercam", "xgradcam"])
@pytest.mark.parametrize(("name", "layer"), [("resnet18", "layer4"), ("resnet18", "layer3.1.conv2")])
def test_map_of_the_other_methods_is_the_closed_form(
    network: Network, captured: Capture, picture: torch.Tensor, name: str, layer: str, method: str
) -> None:
    model = network(name)
    expected = FORMULAS[method](*captured(model, picture, layer, torch.max))
    assert relative_error(attend(model, picture, layer=layer, method=method).map, expected) < 1e-5


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_a_scaled_head_is_the_same_as_a_scaled_score(
    network: Network, captured: Capture, picture: torch.Tensor, scale: float
) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network("resnet18")

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.body(images) * scale

    model = Scaled().eval()
    expected = gradcam_plus_plus(*captured(model, picture, "body.layer4", torch.max))
    assert relative_error(attend(model, picture, layer="body.layer4").map, expected) < 1e-5
