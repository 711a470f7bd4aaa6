"""Networks of torchvision, replayed from a layer on: what the whole network gives with that layer's output changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import nn

from pytest_cam.engine.replaying.replay import Replay

CASES = {
    "resnet18": ["layer3", "layer4", "layer2.0.conv1", "layer2.0.relu", "bn1"],
    "densenet121": ["features.denseblock3", "features.denseblock3.denselayer5.conv2", "features"],
    "efficientnet_b0": ["features", "features.5.1.block.0"],
}


def check(model: nn.Module, layer: str, picture: torch.Tensor, calls: int = 1) -> None:
    module = model.get_submodule(layer)
    replay = Replay(model, module, model, picture)
    assert (replay.is_sound, replay.why) == (True, "")
    ran = 0

    def replace(*_: object) -> torch.Tensor | None:
        nonlocal ran
        ran += 1
        return changed.clone() if ran == calls else None

    changed = replay._own * torch.rand(3, *replay._own.shape[1:], generator=torch.Generator().manual_seed(5))
    found = replay(changed)
    handle = module.register_forward_hook(replace)
    try:
        with torch.no_grad():
            expected = model(picture.expand(3, -1, -1, -1).clone())
    finally:
        handle.remove()
    assert ran == calls
    assert float(expected.std(dim=0).amax()) > 1e-4  # the versions differ in what the model makes of them
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(("name", "layer"), [(name, layer) for name, layers in CASES.items() for layer in layers])
def test_convolutional_network(
    name: str, layer: str, network: Callable[[str], nn.Module], picture: torch.Tensor
) -> None:
    check(network(name), layer, picture[:, :, :64, :64], calls=2 if layer == "layer2.0.relu" else 1)


@pytest.mark.parametrize("layer", ["encoder.layers.encoder_layer_5", "encoder.layers.encoder_layer_11.ln_1"])
def test_vision_transformer(layer: str) -> None:
    torch.manual_seed(22)
    model = torchvision.models.vit_b_16(weights=None, image_size=64).eval()
    nn.init.normal_(model.heads.head.weight)  # which is zero at first
    check(model, layer, torch.randn(1, 3, 64, 64))


def test_head_of_the_network_does_not_run(network: Callable[[str], nn.Module], picture: torch.Tensor) -> None:
    model = network("resnet18")
    replay = Replay(model, model.get_submodule("layer4"), model, picture)
    with torch.profiler.profile() as profile:
        replay(replay._own.expand(4, -1, -1, -1).clone())
    ran = {event.key: event.count for event in profile.key_averages()}
    assert ran.get("aten::linear") == 1
    assert "aten::conv2d" not in ran
    assert "aten::batch_norm" not in ran
