"""What must hold of the methods that need more than one gradient, for activations and gradients of both signs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pytest_cam.engine.methods.ablationcam import ablationcam
from pytest_cam.engine.methods.eigencam import eigencam
from pytest_cam.engine.methods.eigengradcam import eigengradcam
from pytest_cam.engine.methods.finercam import finercam
from pytest_cam.engine.methods.gradcam_elementwise import gradcam_elementwise
from pytest_cam.engine.methods.kpcacam import kpcacam
from pytest_cam.engine.methods.occlusion import occlusion
from pytest_cam.engine.methods.resources import Make, Scores
from pytest_cam.engine.methods.rise import rise
from pytest_cam.engine.methods.scorecam import scorecam
from pytest_cam.engine.methods.shapleycam import shapleycam
from pytest_cam.engine.methods.smoothgradcam_plus_plus import smoothgradcam_plus_plus

Pair = tuple[torch.Tensor, torch.Tensor]
IMAGE = torch.ones(1, 2, 6, 6)
# Nine methods to each law, a second for each hundred.
few = settings(max_examples=40)


def scoring(score: Callable[[torch.Tensor], torch.Tensor]) -> Scores:
    return lambda count, make: score(make(0, count))


def energy(versions: torch.Tensor) -> torch.Tensor:
    """A score that a flip of the image leaves as it is."""
    return versions.square().mean(dim=(1, 2, 3))


def shapley(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return shapleycam(activations, gradients, gradients * activations)


def finer(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    def class_gradients(weights: torch.Tensor) -> torch.Tensor:
        return weights[0, 0] * gradients + weights[0, 1] * activations * gradients

    return finercam(activations, torch.tensor([[1.0, 2.0]], dtype=activations.dtype), 0, class_gradients)


def smooth(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    def trace(count: int, make: Make) -> Pair:
        return activations, torch.cat([gradients, 2 * gradients, -gradients / 2])

    return smoothgradcam_plus_plus(activations, IMAGE, trace, torch.Generator().manual_seed(0), samples=3)


def score(activations: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return scorecam(activations, IMAGE.to(activations), scoring(energy))


def ablation(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    scores = scoring(lambda versions: (versions * gradients).sum(dim=(1, 2, 3)))
    return ablationcam(activations, float((activations * gradients).sum()), scores)


BATCHES = {
    "gradcam-elementwise": gradcam_elementwise,
    "eigencam": lambda activations, _: eigencam(activations),
    "eigengradcam": eigengradcam,
    "kpcacam": lambda activations, _: kpcacam(activations),
    "shapleycam": shapley,
}
METHODS = {**BATCHES, "finercam": finer, "smoothgradcam++": smooth, "scorecam": score, "ablationcam": ablation}


@st.composite
def normal_pairs(draw: st.DrawFn) -> Pair:
    """A and G, (1, C, h, w) float64, with no two components of equal variance."""
    shape = draw(array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5).filter(lambda s: s[1] * s[2] > 1))
    numbers = np.random.default_rng(draw(st.integers(0, 2**31))).normal(size=(2, 1, *shape))
    return torch.from_numpy(numbers[0]), torch.from_numpy(numbers[1])


@st.composite
def any_pairs(draw: st.DrawFn) -> Pair:
    """A and G, (1, C, h, w) float32, with zeros, constant channels and six orders of magnitude."""
    shape = (1, *draw(array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=4)))
    sizes = st.floats(2**-20, 10, width=32)
    numbers = st.one_of(st.just(0.0), sizes, sizes.map(lambda value: -value))
    activations, gradients = (draw(arrays(np.float32, shape, elements=numbers)) for _ in range(2))
    return torch.from_numpy(activations), torch.from_numpy(gradients)


def assert_alike(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7 * max(float(expected.max()), 1e-12))


@pytest.mark.parametrize("name", METHODS)
@few
@given(pair=normal_pairs(), seed=st.integers(0, 2**31))
def test_order_of_the_channels_changes_nothing(name: str, pair: Pair, seed: int) -> None:
    order = torch.randperm(pair[0].shape[1], generator=torch.Generator().manual_seed(seed))
    assert_alike(METHODS[name](pair[0][:, order], pair[1][:, order]), METHODS[name](*pair))


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("name", METHODS)
@few
@given(pair=normal_pairs())
def test_flipped_activations_give_the_flipped_map(name: str, axis: int, pair: Pair) -> None:
    found = METHODS[name](pair[0].flip(axis), pair[1].flip(axis))
    assert_alike(found, METHODS[name](*pair).flip(axis - 1))


@pytest.mark.parametrize("name", METHODS)
@few
@given(pair=any_pairs())
def test_map_is_on_the_grid_never_negative_and_never_nan(name: str, pair: Pair) -> None:
    before = pair[0].clone(), pair[1].clone()
    found = METHODS[name](*pair)
    assert found.shape == pair[0][:, 0].shape
    assert found.dtype == torch.float32
    assert bool((found >= 0).all())
    assert torch.equal(pair[0], before[0])
    assert torch.equal(pair[1], before[1])


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_is_its_images_one_by_one(name: str) -> None:
    activations, gradients = torch.randn(2, 4, 6, 3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    together = BATCHES[name](activations, gradients)
    for i in range(4):
        assert_alike(together[i : i + 1], BATCHES[name](activations[i : i + 1], gradients[i : i + 1]))


# By which power of a factor a map grows when the activations grow by it, and when the gradients do.
DEGREES = {
    "gradcam-elementwise": (1, 1),
    "eigencam": (1, 0),
    "eigengradcam": (1, 1),
    "scorecam": (1, 0),
    "ablationcam": (1, 0),
}


@pytest.mark.parametrize("name", DEGREES)
@few
@given(pair=normal_pairs(), powers=st.tuples(st.integers(-26, 26), st.integers(-26, 26)))
def test_map_grows_with_activations_and_logits(name: str, pair: Pair, powers: tuple[int, int]) -> None:
    activations, gradients = 2.0 ** powers[0], 2.0 ** powers[1]
    found = METHODS[name](pair[0] * activations, pair[1] * gradients)
    degrees = DEGREES[name]
    factor = activations ** degrees[0] * gradients ** degrees[1]
    torch.testing.assert_close(found / factor, METHODS[name](*pair), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["shapleycam", "finercam"])
@few
@given(pair=normal_pairs(), power=st.integers(-26, 26))
def test_scaled_logits_scale_the_map(name: str, pair: Pair, power: int) -> None:
    assert torch.equal(METHODS[name](pair[0], pair[1] * 2.0**power), METHODS[name](*pair) * 2.0**power)


@pytest.mark.parametrize("power", [-26, 26])
def test_scaled_logits_scale_what_occlusion_and_rise_measure(power: int) -> None:
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def measured(scale: float) -> Pair:
        scores = scoring(lambda versions: scale * energy(versions))
        return (
            occlusion(image, scale * float(energy(image)), scores, window=3),
            rise(image, scores, torch.Generator().manual_seed(1), masks=30, cells=3),
        )

    for found, expected in zip(measured(2.0**power), measured(1.0), strict=True):
        assert float(expected.max()) > 0
        torch.testing.assert_close(found, expected * 2.0**power, rtol=1e-12, atol=0.0)
