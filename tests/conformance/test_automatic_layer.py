"""layer=None in real networks that have more than one path: texts, queries, second heads, pooling by attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn

from pytest_cam import DetectionBox, SegmentationMask, attend

pytestmark = pytest.mark.usefixtures("seeded")

SMALL: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2
}  # fmt: skip


class Matches(nn.Module):
    """How well an image matches one prompt."""

    def __init__(self, clip: nn.Module, words: int) -> None:
        super().__init__()
        self.clip, self.prompt = clip, torch.tensor([[1, *[5] * (words - 2), 2]])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.clip(pixel_values=images, input_ids=self.prompt).logits_per_image


@pytest.mark.parametrize(("side", "patch", "words"), [(224, 32, 7), (224, 14, 77)])
def test_clip_is_explained_by_the_image_and_not_by_the_words(side: int, patch: int, words: int) -> None:
    settings = transformers.CLIPConfig(
        vision_config={**SMALL, "image_size": side, "patch_size": patch},
        text_config={**SMALL, "vocab_size": 99, "bos_token_id": 1, "eos_token_id": 2},
        projection_dim=16,
    )
    model = Matches(transformers.CLIPModel(settings), words).eval()
    found = attend(model, torch.rand(3, side, side), target=lambda scores: scores[0])
    cells = side // patch
    assert found.layer.startswith("clip.vision_model")
    assert found.layout == f"tokens, {cells} x {cells}, 1 token before them"


def test_siglip_of_timm_is_explained_by_its_tokens_and_not_by_keys() -> None:
    model = timm.create_model("vit_base_patch32_siglip_256", depth=1, num_classes=5).eval()
    found = attend(model, torch.rand(3, 256, 256), target=3)
    assert (found.layer, found.layout) == ("norm", "tokens, 8 x 8")


def test_clip_resnet_of_timm_is_explained_before_its_pooling() -> None:
    model = timm.create_model("resnet50_clip", num_classes=5).eval()
    assert attend(model, torch.rand(3, 224, 224), target=3).layout == "NCHW, 7 x 7"


@pytest.mark.parametrize(
    ("name", "layer"),
    # Before the last convolution that is not of 1 x 1: that of the head, and the network that the head is put on.
    [("deeplabv3_mobilenet_v3_large", "classifier.0"), ("lraspp_mobilenet_v3_large", "backbone.16")],
)
def test_segmenter_is_explained_before_its_class_maps(name: str, layer: str) -> None:
    settings = {"aux_loss": True} if name.startswith("deeplab") else {}
    model = getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None, **settings).eval()
    target = SegmentationMask(2, (5, 5, 40, 40))
    assert attend(model, torch.rand(3, 64, 64), target=target).layer == layer


def test_detector_of_torchvision_is_explained_at_its_backbone() -> None:
    model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_fpn(
        weights=None, weights_backbone=None, num_classes=3, min_size=96, max_size=96, box_score_thresh=0.0
    ).eval()
    image = torch.rand(3, 96, 96)
    with torch.no_grad():
        (found,) = model([image])
    target = DetectionBox(found["boxes"][0], int(found["labels"][0]))
    assert attend(model, image, target=target).layer.startswith("backbone")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ResNet", {"embedding_size": 16}),
        ("RegNet", {"embedding_size": 16, "groups_width": 8}),
        ("ConvNextV2", {"num_stages": 2}),
    ],
)
def test_layer_of_hugging_face_is_named_where_the_graph_is_cut(name: str, settings: dict[str, Any]) -> None:
    """The module around it also returns its features pooled, which the score reads."""
    config = getattr(transformers, f"{name}Config")(hidden_sizes=[16, 32], depths=[1, 1], **settings)
    model = getattr(transformers, f"{name}ForImageClassification")(config).eval()
    image = torch.rand(3, 64, 64)
    found = attend(model, image, target=1)
    for layer in (found.layer, -1):
        np.testing.assert_allclose(attend(model, image, layer=layer, target=1).map, found.map, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("side", [320, 640])
def test_queries_of_detr_are_no_patches(side: int) -> None:
    """It has 100 of them, a grid of 10 x 10, which is that of the first image and half of that of the second."""
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    settings = transformers.DetrConfig(
        use_timm_backbone=False, backbone=None, backbone_config=backbone, d_model=16, encoder_layers=1,
        decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2,
    )  # fmt: skip
    model = transformers.DetrForObjectDetection(settings).eval()
    found = attend(model, torch.rand(3, side, side), target=lambda part: part.logits[7, 2])
    assert "decoder" not in found.layer
    assert f"{side // 32} x {side // 32}" in found.layout


def test_detection_tokens_of_yolos_come_after_the_patches() -> None:
    settings = transformers.YolosConfig(**SMALL, image_size=[64, 64], patch_size=8, num_detection_tokens=10)
    model = transformers.YolosForObjectDetection(settings).eval()
    image, asked = torch.rand(3, 64, 64), {"target": lambda part: part.logits[7, 2], "method": "layercam"}
    found = attend(model, image, **asked)
    told = attend(
        model, image, layer=found.layer, reshape=lambda tokens: tokens[:, 1:65].mT.reshape(-1, 16, 8, 8), **asked
    )
    assert found.layout == "tokens, 8 x 8, 1 token before them, 10 after"
    np.testing.assert_allclose(found.map, told.map, rtol=1e-5, atol=1e-9)
