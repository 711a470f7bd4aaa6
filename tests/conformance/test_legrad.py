"""LeGrad on the libraries' vision transformers, against what they tell of their own attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import attend
from pytest_cam.errors import MethodError

timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")
models = pytest.importorskip("torchvision.models")

# From inputs to the attention probabilities and the tokens of each block, in the graph; and from tokens to scores.
Told = tuple[list[torch.Tensor], list[torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]


def spread(model: nn.Module) -> nn.Module:
    """Give a network weights that make its tokens differ, its attention too, and its head read them."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) / parameter.shape[-1] ** 0.5)
    return model.double().eval()


def torchvision_model() -> nn.Module:
    return spread(models.VisionTransformer(32, 8, 3, 2, 16, 24, num_classes=10))


def told_by_torchvision(model: Any, inputs: torch.Tensor) -> Told:
    attention, tokens = [], []
    found = model._process_input(inputs)
    found = torch.cat([model.class_token, found], dim=1) + model.encoder.pos_embedding
    for block in model.encoder.layers:
        # The module returns weights that its output does not depend on: it reshapes them after using them.
        own = block.self_attention
        projected = nn.functional.linear(block.ln_1(found), own.in_proj_weight, own.in_proj_bias)
        query, key, value = (part.unflatten(-1, (2, 8)).transpose(1, 2) for part in projected.chunk(3, dim=-1))
        weights = torch.softmax(query @ key.mT / 8**0.5, dim=-1)
        found = found + own.out_proj((weights @ value).transpose(1, 2).flatten(2))
        found = found + block.mlp(block.ln_2(found))
        attention.append(weights)
        tokens.append(found)
    return attention, tokens, lambda formed: model.heads(model.encoder.ln(formed)[:, 0])


def timm_model(name: str, **options: Any) -> nn.Module:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2, "num_classes": 10}
    return spread(timm.create_model(name, **sizes, **options))


def told_by_timm(model: Any, inputs: torch.Tensor) -> Told:
    attention, tokens, handles = [], [], []
    for block in model.blocks:
        block.attn.fused_attn = False
        handles += [
            block.attn.attn_drop.register_forward_hook(lambda module, args, output: attention.append(output)),
            block.register_forward_hook(lambda module, args, output: tokens.append(output)),
        ]
    model(inputs)
    for handle in handles:
        handle.remove()
    for block in model.blocks:
        block.attn.fused_attn = True
    return attention, tokens, lambda formed: model.forward_head(model.norm(formed))


SIZES = {
    "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 32,
    "patch_size": 8, "num_labels": 10,
}  # fmt: skip


def hugging_face_model(how: str = "sdpa") -> nn.Module:
    config = transformers.ViTConfig(**SIZES, attn_implementation=how)
    return spread(transformers.ViTForImageClassification(config))


def told_by_hugging_face(model: Any, inputs: torch.Tensor) -> Told:
    eager = hugging_face_model("eager")
    eager.load_state_dict(model.state_dict())
    output = eager(inputs, output_attentions=True, output_hidden_states=True)
    tokens = output.hidden_states[1:]
    return output.attentions, tokens, lambda formed: eager.classifier(eager.vit.layernorm(formed)[:, 0])


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[Any, torch.Tensor], Told], int]] = {
    "torchvision": (torchvision_model, told_by_torchvision, 1),
    "timm vit": (lambda: timm_model("vit_tiny_patch16_224"), told_by_timm, 1),
    "timm vit, mean of patches": (
        lambda: timm_model("vit_tiny_patch16_224", global_pool="avg", class_token=False),
        told_by_timm,
        0,
    ),
    "timm deit, distilled": (lambda: timm_model("deit_tiny_distilled_patch16_224"), told_by_timm, 2),
    "timm vit, registers": (lambda: timm_model("vit_tiny_patch16_224", reg_tokens=4), told_by_timm, 5),
    "timm vit, attention pooling": (
        lambda: timm_model("vit_tiny_patch16_224", global_pool="map", class_token=False),
        told_by_timm,
        0,
    ),
    "hugging face": (hugging_face_model, told_by_hugging_face, 1),
}


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(1, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", MODELS)
def test_map_from_what_the_library_tells(name: str, inputs: torch.Tensor) -> None:
    make, told, prefix = MODELS[name]
    model = make()
    attention, tokens, scores = told(model, inputs)
    torch.testing.assert_close(scores(tokens[-1]), _logits(model(inputs)))
    maps = []
    for probabilities, formed in zip(attention, tokens, strict=True):
        assert probabilities.shape == (1, 2, 16 + prefix, 16 + prefix)
        (gradient,) = torch.autograd.grad(scores(formed)[0, 7], probabilities, retain_graph=True)
        maps.append(gradient.clamp(min=0).mean(dim=(0, 1, 2))[prefix:].reshape(4, 4))
    expected = torch.stack(maps).mean(0).numpy()
    found = attend(model, inputs, method="legrad", target=7)
    assert expected.max() > 1e-4
    np.testing.assert_allclose(found.map, expected, rtol=1e-5, atol=1e-7 * expected.max())
    assert found.layout == "tokens, 4 x 4"


def _logits(output: Any) -> torch.Tensor:
    found: torch.Tensor = getattr(output, "logits", output)
    return found


def test_attention_that_is_written_out_gives_the_same(inputs: torch.Tensor) -> None:
    fused = attend(hugging_face_model("sdpa"), inputs, method="legrad", target=7)
    eager = attend(hugging_face_model("eager"), inputs, method="legrad", target=7)
    np.testing.assert_allclose(eager.map, fused.map, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: models.resnet18(weights=None),
            "found no attention over the patches of a 64 x 64 input in this ResNet",
        ),
        (
            lambda: models.SwinTransformer([4, 4], 8, [1, 1], [2, 2], [4, 4]),
            "found no attention over the patches of a 64 x 64 input in this SwinTransformer: there is (16, 2, 16, 16)",
        ),
        (lambda: models.swin_t(), "found no attention over the patches of a 64 x 64 input in this SwinTransformer"),
        (lambda: timm.create_model("pvt_v2_b0"), "found attention over something else than all tokens"),
    ],
    ids=["resnet18", "swin", "swin_t", "pvt"],
)
def test_other_networks_are_an_error(make: Callable[[], nn.Module], said: str) -> None:
    with pytest.raises(MethodError) as caught:
        attend(make().eval(), torch.rand(1, 3, 64, 64), method="legrad")
    assert said in str(caught.value)
    assert str(caught.value).startswith("legrad needs the attention blocks of a vision transformer, and found")


def test_large_networks_as_they_come() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 224, 224)
    for model in (timm.create_model("vit_tiny_patch16_224"), timm.create_model("deit_tiny_distilled_patch16_224")):
        found = attend(model.eval(), picture, method="legrad", target=3)
        assert found.map.shape == (14, 14)
        assert np.isfinite(found.map).all()
        assert found.map.min() >= 0 < found.map.max()
