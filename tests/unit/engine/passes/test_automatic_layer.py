"""layer=None: the last executed module whose output has a grid, by its outermost name."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from pytest_cam import attend
from pytest_cam.errors import IndependentScoreError, LayerError, ModelError


def chosen(model: nn.Module, picture: torch.Tensor, target: Any = None) -> str:
    """Return the layer that was chosen, after checking that its map is that of the same layer by name."""
    found = attend(model, picture, method="hirescam", target=target)
    named = attend(model, picture, layer=found.layer, method="hirescam", target=target)
    assert float(named.map.max()) > 0
    np.testing.assert_allclose(found.map, named.map, rtol=1e-5, atol=1e-8)
    return found.layer


def head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer4"),
        # The adaptive pooling to 7 x 7 after the features comes later, and changes nothing but the grid.
        ("vgg11", "features"),
        ("alexnet", "features"),
        ("densenet121", "features"),
        ("mobilenet_v3_small", "features"),
        ("shufflenet_v2_x0_5", "conv5"),
        # Classifies by a convolution: its own class maps are the last with a grid.
        ("squeezenet1_1", "classifier.2"),
    ],
)
def test_of_torchvision_networks(name: str, layer: str) -> None:
    torch.manual_seed(8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some networks announce other defaults
        model = getattr(torchvision.models, name)(weights=None)
    assert attend(model, torch.randn(1, 3, 96, 96)).layer == layer


def test_order_of_execution_counts_and_not_that_of_registration(picture: torch.Tensor) -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = head(6)
            self.second = nn.Conv2d(4, 6, 3)
            self.unused = nn.Conv2d(6, 6, 3)
            self.first = nn.Conv2d(3, 4, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.second(self.first(images)))

    assert chosen(Backwards(), picture) == "second"


def test_outermost_of_those_that_return_the_same_output(picture: torch.Tensor) -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 3)))
    model = nn.Sequential(OrderedDict(body=body, rest=nn.Sequential(nn.Dropout(), *head(4))))
    # body.1.0, body.1 and body return one tensor, and so does the dropout in eval mode, which makes nothing of its own.
    assert chosen(model, picture) == "body"
    model.rest = head(4)
    assert chosen(model, picture) == "body"


class Pooling(nn.Module):
    """A backbone that also returns its features pooled, as those of Hugging Face do."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.features(images)
        return features.mean((2, 3)), features


class AfterPooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = Pooling(), nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images)[0])  # type: ignore[no-any-return]


def test_module_that_also_returns_the_features_pooled_gives_no_name(picture: torch.Tensor) -> None:
    model = AfterPooling()
    assert chosen(model, picture) == "body.features"
    assert attend(model, picture, layer=-1).layer == "body.features"
    assert attend(model, picture, layer=np.int64(-1)).layer == "body.features"


class DroppedTwice(nn.Module):
    """One dropout for the features and then for what is pooled of them, as timm's VOLO has it."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.drop, self.head = nn.Conv2d(3, 4, 3), nn.Dropout(), nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.drop(self.features(images))
        return self.head(self.drop(features.mean((2, 3))))  # type: ignore[no-any-return]


def test_dropout_gives_no_name_to_what_it_passes_on(picture: torch.Tensor) -> None:
    assert chosen(DroppedTwice().eval(), picture) == "features"
    assert attend(DroppedTwice().eval(), picture, layer=-1).layer == "features"


def test_block_that_adds_in_place_is_explained_after_the_addition(picture: torch.Tensor) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            # One tensor all along, and three values of it.
            features = self.conv(images)
            features += images
            return self.relu(features)

    model = nn.Sequential(OrderedDict(block=Block(), head=head(3)))
    assert chosen(model, picture) == "block"
    expected = torch.relu(picture + model.block.conv(picture))
    weights = model.head[2].weight / 64
    attention = attend(model, picture, method="hirescam", target=0)
    by_hand = (weights[0][:, None, None] * expected[0]).sum(dim=0).relu().detach()
    torch.testing.assert_close(torch.tensor(attention.map), by_hand)


def test_adaptive_pooling_at_the_end_of_a_container_does_not_count(picture: torch.Tensor) -> None:
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Identity()), nn.Flatten(), nn.Linear(16, 3)
    )
    assert chosen(model, picture) == "0.0"


def test_output_for_another_number_of_images_does_not_count(picture: torch.Tensor) -> None:
    class Mirrored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.both, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), head(4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features = self.stem(images)
            return self.head(self.both(torch.cat([features, features.flip(3)]))).mean(dim=0, keepdim=True)

    assert chosen(Mirrored(), picture) == "stem"


class Views(nn.Module):
    """The image and its mirror image, as one batch from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.head = nn.Conv2d(3, 4, 3), head(4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.both(torch.cat([images, images.flip(3)]))).mean(dim=0, keepdim=True)  # type: ignore[no-any-return]


@pytest.mark.parametrize("layer", [None, "both"])
def test_error_tells_of_outputs_for_another_number_of_images(layer: str | None, picture: torch.Tensor) -> None:
    words = r"layer 'both' has an output \(2, 4, 6, 6\) for 1 images, so which part belongs to which image is not known"
    with pytest.raises(LayerError, match=words):
        attend(Views(), picture, layer=layer)


class FirstWithoutGradient(nn.Module):
    """A stem under inference_mode, as one that is frozen for good."""

    def __init__(self, rest: nn.Module) -> None:
        super().__init__()
        self.stem, self.rest = nn.Conv2d(3, 4, 3), rest

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            features = self.stem(images)
        return self.rest(features)


def test_stem_under_inference_mode_is_no_obstacle_to_later_layers(picture: torch.Tensor) -> None:
    model = FirstWithoutGradient(nn.Sequential(nn.Conv2d(4, 4, 3), *head(4)))
    assert chosen(model, picture) == "rest.0"


def test_layer_under_inference_mode_is_an_error_if_it_is_the_last(picture: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=r"runs layer 'stem' under torch\.inference_mode"):
        attend(FirstWithoutGradient(head(4)), picture)


def test_model_without_any_grid_is_an_error(picture: torch.Tensor) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
    with pytest.raises(LayerError, match=r"no layer of this model has an output with spatial extent, \(B, C, h, w\)"):
        attend(model, picture)


class Attending(nn.Module):
    """A vision transformer of two blocks, as they are all made: class token, norm, attention, norm, MLP."""

    def __init__(self, *, pooled: bool = False) -> None:
        super().__init__()
        self.pooled = pooled
        self.patches = nn.Conv2d(3, 16, 2, 2)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, norm_first=True, batch_first=True) for _ in range(2)
        )
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        return self.head(tokens[:, 1:].mean(dim=1) if self.pooled else tokens[:, 0])  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_transformer_that_reads_its_class_token_is_explained_before_the_last_attention(picture: torch.Tensor) -> None:
    torch.manual_seed(3)
    model = Attending()
    assert chosen(model, picture) == "blocks.1.norm1"
    assert chosen(Attending(pooled=True), picture) == "norm"
    attention = attend(model, picture)
    assert (attention.map.shape, attention.layout) == ((4, 4), "tokens, 4 x 4, 1 token before them")


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("layer", ["norm", "blocks.1", "blocks.1.norm2"])
def test_layer_after_the_last_attention_is_an_error_that_says_where_to_look(layer: str, picture: torch.Tensor) -> None:
    words = "gradient is exactly zero at all 4 x 4 patches.*take the normalisation before that attention"
    with pytest.raises(IndependentScoreError, match=words):
        attend(Attending(), picture, layer=layer)


@pytest.mark.parametrize(
    ("name", "layer", "layout"),
    [
        ("vit_b_32", "encoder.layers.encoder_layer_11.ln_1", "tokens, 2 x 2, 1 token before them"),
        ("swin_t", "norm", "NHWC, 2 x 2"),
        ("convnext_tiny", "features", "NCHW, 2 x 2"),
    ],
)
def test_of_torchvision_transformers(name: str, layer: str, layout: str) -> None:
    torch.manual_seed(8)
    settings = {"image_size": 64} if name.startswith("vit") else {}
    model = getattr(torchvision.models, name)(weights=None, **settings)
    if name.startswith("vit"):  # torchvision starts it at zero
        nn.init.normal_(model.heads.head.weight)
    found = attend(model, torch.randn(1, 3, 64, 64), method="hirescam")
    assert (found.layer, found.layout) == (layer, layout)


class Scripted(nn.Module):
    """A body of modules, and a head that torch.jit made."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        self.head = torch.jit.script(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is")
@pytest.mark.parametrize("layer", [None, -1])
def test_part_that_is_torchscript_is_passed_over(layer: int | None) -> None:
    assert attend(Scripted().eval(), torch.rand(3, 16, 16), layer=layer, target=1).layer == "body"


@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is")
def test_layer_that_is_torchscript_is_an_error() -> None:
    with pytest.raises(LayerError, match=r"layer 'head' is TorchScript, .* accepted: a layer that torch.jit did not"):
        attend(Scripted().eval(), torch.rand(3, 16, 16), layer="head", target=1)


class NormalisedLast(nn.Module):
    """A model that norms the last axis: six channels of 8 x 8 cells also read as eight of 6 x 8."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.stem, self.norm = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.LayerNorm(6)
        self.act, self.head = nn.SiLU(), nn.Linear(6, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        normed = self.norm(self.stem(images).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(self.act(normed.contiguous()).mean(dim=(2, 3)))


def test_layer_that_reads_in_several_ways_is_read_alike_in_versions_of_the_input() -> None:
    model, image = NormalisedLast().eval(), torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(1))
    with pytest.raises(LayerError, match="reads in 2 ways"):
        attend(model, image, layer="act", method="smoothgradcam++")
    expected = attend(model, image, method="gradcam++")
    found = attend(model, image, method="smoothgradcam++", method_options={"noise": 0.0, "samples": 1})
    assert (found.layer, found.layout) == (expected.layer, expected.layout) == ("act", "NCHW, 8 x 8")
    assert abs(found.map - expected.map).max() < 1e-5 * expected.map.max()
    with pytest.raises(LayerError, match="reads in 2 ways"):
        attend(model, image, layer="act", method="smoothgradcam++")
