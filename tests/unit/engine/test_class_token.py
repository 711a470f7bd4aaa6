"""Transformers that read their class token: one layer for all methods, and an error where the score reads nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from pytest_cam import attend
from pytest_cam.engine.methods import METHODS
from pytest_cam.errors import IndependentScoreError

LAST_READ = "encoder.layers.encoder_layer_2.ln_1"
OF_A_LAYER = [name for name, method in METHODS.items() if method.takes_a_layer]


@pytest.fixture(scope="module")
def transformer() -> nn.Module:
    torch.manual_seed(0)
    made = VisionTransformer(
        image_size=32, patch_size=8, num_layers=3, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=4
    )
    nn.init.normal_(made.heads.head.weight)  # type: ignore[union-attr,arg-type]  # torchvision makes it zeros
    return made.eval()


@pytest.fixture
def photo() -> torch.Tensor:
    return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore::pytest_cam.errors.TargetIgnoredWarning")
@pytest.mark.parametrize("method", OF_A_LAYER)
@pytest.mark.parametrize("layer", [None, "auto"])
def test_all_methods_explain_the_same_layer(
    layer: str | None, method: str, transformer: nn.Module, photo: torch.Tensor
) -> None:
    alone = attend(transformer, photo, layer=layer, method=method, target=1)
    assert alone.layer == LAST_READ
    beside = ["gradcam" if method != "gradcam" else "hirescam", method]
    among = attend(transformer, photo, layer=layer, method=beside, target=1)[1]
    assert (among.layer, among.method) == (LAST_READ, method)
    torch.testing.assert_close(torch.tensor(among.map), torch.tensor(alone.map), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["encoder", "encoder.layers.encoder_layer_2"])
def test_ablating_what_no_score_reads_is_an_error(layer: str, transformer: nn.Module, photo: torch.Tensor) -> None:
    with pytest.raises(IndependentScoreError, match=rf"class 1 does not depend on layer {layer}: it stays exactly"):
        attend(transformer, photo, layer=layer, method="ablationcam", target=1)


class Unread(nn.Module):
    """Lets no gradient through to a transformer."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images).detach()


def test_without_gradients_the_last_tokens_are_explained(transformer: nn.Module, photo: torch.Tensor) -> None:
    assert attend(Unread(transformer).eval(), photo, method="scorecam", target=1).layer == "inner.encoder"
    with pytest.raises(IndependentScoreError):
        attend(Unread(transformer).eval(), photo, method="gradcam", target=1)
