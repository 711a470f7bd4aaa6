"""On a GPU everything is as on the CPU, and the model stays where it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import FusedLayers, attend, attend_batch
from pytest_cam.engine.cache import pass_cache
from pytest_cam.engine.methods import METHODS
from pytest_cam.running import SHARING

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
# LeGrad needs a transformer, and has its tests there.
LAYERED = [name for name, method in METHODS.items() if method.takes_a_layer and name != "legrad"]
LAYERLESS = [name for name, method in METHODS.items() if not method.takes_a_layer and name not in ("random", "legrad")]


@pytest.fixture(autouse=True)
def _exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let convolutions and products have the precision that they have on the CPU: by default they have 10 bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture
def on_gpu(classifier: nn.Sequential) -> nn.Sequential:
    return copy.deepcopy(classifier).to("cuda")


@pytest.fixture
def _shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(SHARING, "is_on", True)
    pass_cache.forget()
    yield
    pass_cache.forget()


@pytest.mark.parametrize("method", LAYERED)
def test_map_is_that_of_the_cpu(
    method: str, classifier: nn.Sequential, on_gpu: nn.Sequential, picture: torch.Tensor
) -> None:
    target = 1 if METHODS[method].takes_a_target else None
    expected = attend(classifier, picture, layer="layer", method=method, target=target)
    drawn = torch.cuda.get_rng_state()
    found = attend(on_gpu, picture, layer="layer", method=method, target=target)
    # Random methods draw on the CPU, so that a seed means the same everywhere.
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-3, atol=1e-5 * expected.map.max())
    assert found.score == pytest.approx(expected.score, rel=1e-4)
    assert {parameter.device.type for parameter in on_gpu.parameters()} == {"cuda"}
    assert torch.equal(torch.cuda.get_rng_state(), drawn)


@pytest.mark.parametrize("method", LAYERLESS)
def test_map_of_the_whole_model_is_that_of_the_cpu(
    method: str, classifier: nn.Sequential, on_gpu: nn.Sequential, picture: torch.Tensor
) -> None:
    expected, found = (attend(model, picture, method=method, target=1).map for model in (classifier, on_gpu))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_batches_lists_and_fused_layers(
    classifier: nn.Sequential, on_gpu: nn.Sequential, picture: torch.Tensor
) -> None:
    batch = torch.cat([picture, picture.flip(-1), 2 * picture])
    how = {"method": ["gradcam", "layercam"], "target": [0, 3], "layer": FusedLayers("stem", "layer")}
    for expected, found in (
        (attend_batch(model, batch, layer="layer", target=[0, 1, 2]) for model in (classifier, on_gpu)),
        (attend(model, picture, smooth=True, **how) for model in (classifier, on_gpu)),
    ):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other.map, one.map, rtol=1e-3, atol=1e-4 * one.map.max())


def test_input_on_the_gpu_and_half_precision(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    expected = attend(classifier, picture, layer="layer", target=1)
    for dtype, tolerance in ((torch.float32, 1e-3), (torch.float16, 0.02), (torch.bfloat16, 0.1)):
        model = copy.deepcopy(classifier).to("cuda", dtype)
        found = attend(model, picture.to("cuda"), layer="layer", target=1)
        np.testing.assert_allclose(found.map, expected.map, rtol=tolerance, atol=tolerance * expected.map.max())


@pytest.mark.usefixtures("_shared")
@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.layer.weight.data.mul_(2),
        lambda model: model.layer.weight.data[1].zero_(),
        lambda model: model.head.bias.data.add_(1),
        lambda model: model.load_state_dict({name: value * 2 for name, value in model.state_dict().items()}),
        lambda model: model.double(),
    ],
    ids=["all", "a row", "a vector", "state", "precision"],
)
def test_passes_are_shared_until_the_model_changes(change, on_gpu: nn.Sequential, picture: torch.Tensor) -> None:
    first = attend(on_gpu, picture, layer="layer", target=1)
    assert np.shares_memory(attend(on_gpu, picture, layer="layer", target=1).map, first.map)
    change(on_gpu)
    found = attend(on_gpu, picture, layer="layer", target=1)
    assert not np.shares_memory(found.map, first.map)
    np.testing.assert_allclose(found.map, attend(copy.deepcopy(on_gpu), picture, layer="layer", target=1).map)
