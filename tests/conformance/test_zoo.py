"""layer=None finds a layer with a grid in the networks that people have, with random weights."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
import transformers
from torch import nn

from pytest_cam import attend

FEW_OF_TORCHVISION = ["resnet18", "mobilenet_v3_small", "swin_t"]
ALL_OF_TORCHVISION = torchvision.models.list_models(module=torchvision.models)
FEW_OF_TIMM = """
    convnext_atto deit_tiny_distilled_patch16_224 mixer_s32_224 mobilevit_xxs swin_tiny_patch4_window7_224
"""
FAMILIES_OF_TIMM = """
    efficientformer_l1 pit_ti_224 regnetx_002 vit_tiny_patch16_224 xcit_nano_12_p16_224
    beit_base_patch16_224 botnet26t_256 cait_xxs24_224 coat_lite_tiny coatnet_nano_rw_224 convit_tiny
    convmixer_768_32 convnextv2_atto crossvit_tiny_240 cspresnet50 davit_tiny deit3_small_patch16_224 densenet121
    dla34 dpn48b edgenext_xx_small efficientformerv2_s0 efficientnet_b0 efficientvit_m0 eva02_tiny_patch14_224
    fastvit_t8 focalnet_tiny_srf gcvit_xxtiny ghostnet_050 gmlp_ti16_224 hgnet_tiny hiera_tiny_224 hrnet_w18_small
    inception_v3 inception_next_tiny lcnet_035 levit_128s maxvit_nano_rw_256 caformer_s18 mnasnet_small
    mobilenetv3_small_050 mobilenetv4_conv_small mobileone_s0 mvitv2_tiny nest_tiny nextvit_small nf_regnet_b0
    pnasnet5large poolformer_s12 pvt_v2_b0 repvgg_a0 repvit_m0_9 res2net50_14w_8s resmlp_12_224 resnest14d
    resnetv2_50 rexnet_100 samvit_base_patch16_224 selecsls42 sequencer2d_s shvit_s1 skresnet18 starnet_s1
    swinv2_tiny_window8_256 tf_efficientnetv2_b0 tiny_vit_5m_224 tnt_s_legacy_patch16_224 tresnet_m
    twins_pcpvt_small visformer_tiny vit_small_patch14_reg4_dinov2 vit_base_patch16_siglip_224 vitamin_small_224
    volo_d1_224 vovnet39a xception41
"""
# The class token is read, and the patches after the last attention are not: the norm before that attention.
BEFORE_ATTENTION = {
    "vit_b_16": "encoder.layers.encoder_layer_11.ln_1",
    "vit_h_14": "encoder.layers.encoder_layer_31.ln_1",
    "vit_tiny_patch16_224": "blocks.11.norm1",
    "deit_tiny_distilled_patch16_224": "blocks.11.norm1",
    "vit_small_patch14_reg4_dinov2": "blocks.11.norm1",
}


ROOT = Path(__file__).parents[2]


def look(python: list[str], library: str, names: list[str]) -> list[dict[str, Any]]:
    command = [*python, "-m", "tests.conformance.zoo", library, *names]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def problems(found: list[dict[str, Any]]) -> list[str]:
    """Return a line for each network whose map is not what it should be."""
    said = []
    for item in found:
        if "error" in item:
            said.append(f"{item['name']}: {item['error']}")
        elif not (item["finite"] and item["max"] > 0 and item["cells"] > 1):
            said.append(f"{item['name']}: no map at {item['layer']}")
        elif item["fresh"] not in (None, "IndependentScoreError") or (item["fresh"] and not item["zero head"]):
            said.append(f"{item['name']}: {item['fresh']}, without a head of zeros")
        elif item["peak_mb"] >= 4096:
            said.append(f"{item['name']}: took {item['peak_mb']:.0f} MB")
        elif item["layer"] != BEFORE_ATTENTION.get(item["name"], item["layer"]):
            said.append(f"{item['name']}: took layer {item['layer']}")
    return said


@pytest.mark.parametrize(
    ("library", "names"),
    [
        pytest.param("torchvision", FEW_OF_TORCHVISION, id="torchvision, a few"),
        pytest.param("timm", FEW_OF_TIMM.split(), id="timm, a few"),
        # In halves, for two workers.
        *(
            pytest.param(library, names[start::2], id=f"{library}, half {start + 1}", marks=pytest.mark.sweep)
            for library, names in (("torchvision", ALL_OF_TORCHVISION), ("timm", FAMILIES_OF_TIMM.split()))
            for start in (0, 1)
        ),
    ],
)
def test_networks(python: list[str], library: str, names: list[str]) -> None:
    found = look(python, library, names)
    assert [item["name"] for item in found] == names
    assert problems(found) == []


VIT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 64, "patch_size": 8}
SMALL = {**VIT, "intermediate_size": 64}


def hugging_face() -> dict[str, tuple[type[nn.Module], Any, str, str]]:
    t = transformers
    swin = t.SwinConfig(image_size=64, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4)
    convnext = t.ConvNextConfig(hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 2, 1])
    mobilevit = t.MobileViTConfig(
        image_size=64, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 8, 16, 16, 16, 32, 64]
    )
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    tokens = "tokens, 8 x 8"
    one, two, five = (f"{tokens}, {n} tokens before them".replace("1 tokens", "1 token") for n in (1, 2, 5))
    return {
        "ViT": (t.ViTForImageClassification, t.ViTConfig(**SMALL), "layernorm_before", one),
        "DeiT": (t.DeiTForImageClassification, t.DeiTConfig(**SMALL), "layernorm_before", two),
        "Swin": (t.SwinForImageClassification, swin, "layernorm", tokens),
        "BEiT": (t.BeitForImageClassification, t.BeitConfig(**SMALL), "2", one),
        "ConvNeXt": (t.ConvNextForImageClassification, convnext, "encoder", "NCHW, 2 x 2"),
        "DINOv2": (
            t.Dinov2ForImageClassification, t.Dinov2Config(**VIT), "layernorm", one,
        ),
        "DINOv2, registers": (
            t.Dinov2WithRegistersForImageClassification,
            t.Dinov2WithRegistersConfig(**VIT),
            "layernorm",
            five,
        ),
        "ResNet": (
            t.ResNetForImageClassification,
            t.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1]),
            "encoder",
            "NCHW, 8 x 8",
        ),
        "MobileViT": (t.MobileViTForImageClassification, mobilevit, "conv_1x1_exp", "NCHW, 2 x 2"),
        "SegFormer": (
            t.SegformerForImageClassification,
            t.SegformerConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1]),
            "segformer",
            "NCHW, 2 x 2",
        ),
        "CLIP": (
            t.CLIPForImageClassification,
            t.CLIPConfig(vision_config=SMALL, text_config=text),
            "encoder",
            one,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(hugging_face()))
def test_hugging_face_classifiers(name: str) -> None:
    kind, config, layer, layout = hugging_face()[name]
    torch.manual_seed(0)
    model = kind(config)
    # Hugging Face's weights start so small that little comes through a small network.
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
    image = torch.randn(1, 3, 64, 64)
    attention = attend(model, image, method="layercam")
    assert attention.layer.split(".")[-1] == layer
    assert attention.layout == layout
    assert attention.map.max() > 0
    again = attend(model, image, layer=attention.layer, method="layercam")
    np.testing.assert_allclose(again.map, attention.map, rtol=1e-4, atol=1e-6 * float(attention.map.max()))
