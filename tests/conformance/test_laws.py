"""What must hold for every activation and gradient, of both signs and at every scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import nn

from pytest_cam import attend, attend_batch
from pytest_cam.engine.methods import METHODS

HOMOGENEOUS = ["gradcam", "hirescam", "layercam", "xgradcam"]
# The methods that are a function of A and G alone.
FORMULAS = [name for name, method in METHODS.items() if method.needs == {"activations", "gradients"}]
Pair = tuple[torch.Tensor, torch.Tensor]


@st.composite
def pairs(draw: st.DrawFn, elements: st.SearchStrategy[float]) -> Pair:
    """A and G, (1, C, h, w) float32."""
    shape = (1, *draw(array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5)))
    activations, gradients = (draw(arrays(np.float32, shape, elements=elements)) for _ in range(2))
    return torch.from_numpy(activations), torch.from_numpy(gradients)


# Both signs, over six orders of magnitude, and not so small that float32 could not hold them scaled.
MAGNITUDES = st.floats(2**-20, 10, width=32)
WIDE = pairs(st.one_of(st.just(0.0), MAGNITUDES, MAGNITUDES.map(lambda value: -value)))
# Eighths from -2 to 2: every sum and product of these is exact in whatever order it is taken.
EIGHTHS = pairs(st.integers(-16, 16).map(lambda value: value / 8))


def printed_gradcam_plus_plus(
    activations: torch.Tensor, gradients: torch.Tensor
) -> tuple[npt.NDArray[np.float64], float]:
    """Return equation 19 as printed, in float64, and the largest part that one channel has in the map."""
    a, g = activations[0].double().numpy(), gradients[0].double().numpy()
    denominator = 2 * g**2 + a.sum(axis=(1, 2), keepdims=True) * g**3
    alpha = np.divide(g**2, denominator, out=np.zeros_like(g), where=denominator != 0)
    parts = (alpha * np.maximum(g, 0)).sum(axis=(1, 2), keepdims=True) * a
    return np.maximum(parts.sum(axis=0), 0), float(np.abs(parts).max())


@given(WIDE, st.integers(-8, 8))
def test_gradcam_plus_plus_is_the_printed_equation_at_every_logit_scale(pair: Pair, exponent: int) -> None:
    activations, gradients = pair[0], pair[1] * 10.0**exponent
    expected, largest = printed_gradcam_plus_plus(activations, gradients)
    found = METHODS["gradcam++"](activations, gradients)[0].double().numpy()
    # The second term is for channels that cancel, where nothing but rounding is left of the map.
    assert np.abs(found - expected).max() <= 1e-5 * expected.max() + 1e-9 * largest


@pytest.mark.parametrize("method", HOMOGENEOUS)
@given(pair=WIDE, exponent=st.integers(-26, 26))
def test_scaled_logits_scale_the_map_and_leave_its_shape(method: str, pair: Pair, exponent: int) -> None:
    # 2^-26 to 2^26 is 1e-8 to 1e8, and a power of two is exact in floating point: so must the maps be.
    activations, gradients = pair
    scaled = METHODS[method](activations, gradients * 2.0**exponent)
    assert torch.equal(scaled, METHODS[method](activations, gradients) * 2.0**exponent)


@pytest.mark.parametrize("method", FORMULAS)
@given(pair=EIGHTHS, seed=st.integers(0, 2**31))
def test_order_of_the_channels_changes_nothing(method: str, pair: Pair, seed: int) -> None:
    activations, gradients = pair[0].double(), pair[1].double()
    order = torch.randperm(activations.shape[1], generator=torch.Generator().manual_seed(seed))
    found = METHODS[method](activations[:, order], gradients[:, order])
    torch.testing.assert_close(found, METHODS[method](activations, gradients), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize("axis", [2, 3])
@given(pair=EIGHTHS)
def test_flipped_activations_give_the_flipped_map(method: str, axis: int, pair: Pair) -> None:
    found = METHODS[method](pair[0].flip(axis), pair[1].flip(axis))
    torch.testing.assert_close(found, METHODS[method](*pair).flip(axis - 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", FORMULAS)
@given(pair=WIDE)
def test_map_is_never_negative_and_never_nan(method: str, pair: Pair) -> None:
    assert bool((METHODS[method](*pair) >= 0).all())


@pytest.mark.parametrize("method", FORMULAS)
def test_a_batch_is_its_images_one_by_one(method: str) -> None:
    torch.manual_seed(6)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 5),
    )  # fmt: skip
    images, targets = torch.randn(4, 3, 12, 12), [0, 3, None, lambda row: row[1] - row[2]]
    together = attend_batch(model, images, layer="3", method=method, target=targets)
    for image, target, found in zip(images, targets, together, strict=True):
        alone = attend(model, image, layer="3", method=method, target=target)
        assert np.abs(found.map - alone.map).max() <= 1e-5 * alone.map.max()
        assert found.explained.name == alone.explained.name
        assert found.score == pytest.approx(alone.score, rel=1e-5)
