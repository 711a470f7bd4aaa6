"""Grad-CAM on transformers against a reshape that is written by hand, with hooks and autograd alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from pytest_cam import attend

Hand = Callable[[torch.Tensor], torch.Tensor]


def by_hand(model: nn.Module, image: torch.Tensor, layer: str, target: int, reshape: Hand) -> np.ndarray:
    kept: list[torch.Tensor] = []

    def hook(module: nn.Module, args: object, output: torch.Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    handle = model.get_submodule(layer).register_forward_hook(hook)
    model(image)[0, target].backward()
    handle.remove()
    gradient = kept[0].grad
    assert gradient is not None
    activations, gradients = reshape(kept[0].detach())[0].double(), reshape(gradient)[0].double()
    map_: np.ndarray = torch.einsum("k,kij->ij", gradients.mean(dim=(1, 2)), activations).relu().numpy()
    return map_


def vit() -> nn.Module:
    model = torchvision.models.vit_b_16(weights=None, image_size=64)
    nn.init.normal_(model.heads.head.weight)  # torchvision starts it at zero
    return model


def tokens(output: torch.Tensor) -> torch.Tensor:
    return torch.stack([output[:, 1 + cell] for cell in range(16)], dim=2).reshape(1, -1, 4, 4)


def channels_last(output: torch.Tensor) -> torch.Tensor:
    return output.movedim(3, 1)


@pytest.mark.parametrize(
    ("make", "layer", "reshape"),
    [
        pytest.param(vit, "encoder.layers.encoder_layer_11.ln_1", tokens, id="ViT"),
        pytest.param(vit, "encoder.layers.encoder_layer_5", tokens, id="ViT, a middle block"),
        pytest.param(lambda: torchvision.models.swin_t(weights=None), "norm", channels_last, id="Swin"),
        pytest.param(lambda: torchvision.models.swin_t(weights=None), "features.3", channels_last, id="Swin, a stage"),
    ],
)
def test_gradcam_of_a_transformer(make: Callable[[], nn.Module], layer: str, reshape: Hand) -> None:
    torch.manual_seed(0)
    model, image = make().eval(), torch.randn(1, 3, 64, 64)
    target = int(model(image).argmax())
    expected = by_hand(model, image, layer, target, reshape)
    assert expected.max() > 0
    found = attend(model, image, layer=layer, method="gradcam", target=target)
    assert found.map.shape == expected.shape
    np.testing.assert_allclose(found.map / expected.max(), expected / expected.max(), atol=1e-5)
