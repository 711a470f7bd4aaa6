"""Grad-CAM on transformers against a reshape that is written by hand, with hooks and autograd alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn

from pytest_cam import attend
from pytest_cam.engine.reading.reader import Reader
from pytest_cam.errors import LayerError

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


def hiera_of_timm() -> nn.Module:
    model: nn.Module = timm.create_model("hiera_tiny_224", embed_dim=8, num_heads=1, stages=(1, 1, 1, 1))
    return model


def hiera_of_hugging_face() -> nn.Module:
    config = transformers.HieraConfig(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1])
    return transformers.HieraForImageClassification(config)


@pytest.mark.parametrize(
    ("make", "early", "last"),
    [
        (hiera_of_timm, "blocks.2", "blocks.3"),
        (hiera_of_hugging_face, "hiera.encoder.stages.2", "hiera.encoder.stages.3"),
    ],
)
def test_tokens_that_do_not_lie_row_by_row_are_an_error(make: Callable[[], nn.Module], early: str, last: str) -> None:
    torch.manual_seed(0)
    model, image = make().eval(), torch.randn(1, 3, 224, 224)
    reader, seen = Reader(model, image), []

    def look(module: nn.Module, args: object, output: object) -> None:
        tensor = reader.find(output)
        assert tensor is not None
        seen.append(reader.read(tensor, module, last).on_grid(tensor))

    handle = model.get_submodule(last).register_forward_hook(look)
    with torch.no_grad():
        model(image)
        image[..., 64:96, 160:192] += 3  # the cell in row 2, column 5
        model(image)
    handle.remove()
    changed = (seen[1] - seen[0]).square().sum(dim=1)
    assert divmod(int(changed.argmax()), 7) == (2, 5)
    with pytest.raises(LayerError, match="row by row in the last stage only"):
        attend(model, image, layer=early, target=0)
