"""The methods that need more than one gradient: each against its formula in NumPy, on numbers of both signs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_cam.engine.methods.ablationcam import ablationcam
from pytest_cam.engine.methods.eigencam import eigencam
from pytest_cam.engine.methods.eigengradcam import eigengradcam
from pytest_cam.engine.methods.finercam import finercam
from pytest_cam.engine.methods.gradcam_elementwise import gradcam_elementwise
from pytest_cam.engine.methods.kpcacam import kpcacam
from pytest_cam.engine.methods.occlusion import occlusion
from pytest_cam.engine.methods.resources import Make
from pytest_cam.engine.methods.rise import rise
from pytest_cam.engine.methods.scorecam import scorecam
from pytest_cam.engine.methods.shapleycam import shapleycam
from pytest_cam.engine.methods.smoothgradcam_plus_plus import smoothgradcam_plus_plus

Array = npt.NDArray[np.float64]

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))
SEEDS = st.integers(0, 2**31)
# Each example is an array of numbers that no one chose: more of them say little more.
few = settings(max_examples=50)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(array).unsqueeze(0)


def assert_close(found: torch.Tensor, expected: Array) -> None:
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-9, atol=1e-9 * max(1e-30, np.abs(expected).max()))


def upright(component: Array, channels: Array) -> Array:
    """Turn a component (h, w) so that its correlation with the channels (C, h, w) is positive in the mean."""
    flat = component.ravel() - component.mean()
    moved = [channel.ravel() - channel.mean() for channel in channels]
    lengths = [float(np.linalg.norm(one) * np.linalg.norm(flat)) for one in moved]
    mean = np.mean([flat @ one / length if length else 0 for one, length in zip(moved, lengths, strict=True)])
    # On two places every correlation is 1 or -1, and those of an even number of channels may cancel.
    return component * np.sign(mean) if abs(mean) > 1e-9 else 0 * component


def principal(channels: Array) -> Array:
    """Project every place on the first right singular vector of the centred matrix (places, channels)."""
    matrix = channels.reshape(len(channels), -1).T
    matrix = matrix - matrix.mean(axis=0)
    axis = np.linalg.svd(matrix)[2][0]
    return np.maximum(upright((matrix @ axis).reshape(channels.shape[1:]), channels), 0)


@few
@given(SHAPES, SEEDS)
def test_gradcam_elementwise(shape: tuple[int, int, int], seed: int) -> None:
    a, g = normal(seed, 2, *shape)
    assert_close(gradcam_elementwise(tensor(a), tensor(g)), np.maximum(a * g, 0).sum(axis=0))


@few
@given(SHAPES.filter(lambda shape: shape[1] * shape[2] > 1), SEEDS, st.sampled_from([1e-8, 1.0, 1e8]))
def test_eigencam_and_eigengradcam(shape: tuple[int, int, int], seed: int, scale: float) -> None:
    # Normal numbers: two components of equal variance, between which nothing decides, do not come up.
    a, g = normal(seed, 2, *shape) * scale
    assert_close(eigencam(tensor(a)), principal(a))
    assert_close(eigengradcam(tensor(a), tensor(g)), principal(a * g))


@few
@given(SHAPES.filter(lambda shape: shape[1] * shape[2] > 1), SEEDS, st.sampled_from([0.1, 1.0, 10.0]))
def test_kpcacam(shape: tuple[int, int, int], seed: int, scale: float) -> None:
    a = normal(seed, *shape) * scale
    matrix = a.reshape(len(a), -1).T
    matrix = matrix - matrix.mean(axis=0)
    kernel = np.tanh(matrix @ matrix.T / len(a) + 1)
    centring = np.eye(len(kernel)) - 1 / len(kernel)
    values, vectors = np.linalg.eigh(centring @ kernel @ centring)
    component = (vectors[:, -1] * np.sqrt(max(values[-1], 0))).reshape(a.shape[1:])
    found = kpcacam(tensor(a))[0].numpy()
    # Steep kernels bring eigenvalues close to one another, and their vectors are known that much worse.
    np.testing.assert_allclose(found, np.maximum(upright(component, a), 0), rtol=1e-6, atol=1e-7)


@few
@given(SHAPES, SEEDS)
def test_shapleycam(shape: tuple[int, int, int], seed: int) -> None:
    # The score v.A + (v.A)^2 / 2 + A.D.A / 2 has the gradient (1 + v.A) v + D A and the Hessian v v' + D.
    a, v, d = normal(seed, 3, *shape)
    gradient, curvature = (1 + (v * a).sum()) * v + d * a, (v * a).sum() * v + d * a
    weights = (gradient - curvature / 2).mean(axis=(1, 2), keepdims=True)
    found = shapleycam(tensor(a), tensor(gradient), tensor(curvature))
    assert_close(found, np.maximum((weights * a).sum(axis=0), 0))


@few
@given(SHAPES, SEEDS, st.integers(2, 6), st.integers(1, 6), st.floats(0, 2))
def test_finercam(shape: tuple[int, int, int], seed: int, outputs: int, classes: int, alpha: float) -> None:
    a, logits, target = normal(seed, *shape), normal(seed + 1, outputs), seed % outputs
    gradients = normal(seed + 2, outputs, *shape)
    others = sorted((c for c in range(outputs) if c != target), key=lambda c: abs(logits[c] - logits[target]))[:classes]
    difference = gradients[target] - alpha * np.mean([gradients[c] for c in others], axis=0)
    expected = np.maximum((difference.mean(axis=(1, 2), keepdims=True) * a).sum(axis=0), 0)

    def class_gradients(weights: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bk,kchw->bchw", weights, torch.from_numpy(gradients))

    found = finercam(tensor(a), tensor(logits), target, class_gradients, alpha=alpha, classes=classes)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-9, atol=1e-12)


@few
@given(SHAPES, SEEDS, st.integers(1, 5), st.integers(-8, 8))
def test_smoothgradcam_plus_plus_at_every_scale_of_the_logits(
    shape: tuple[int, int, int], seed: int, samples: int, exponent: int
) -> None:
    a = normal(seed, *shape).astype(np.float32)
    # As small as a last layer has them: their cubes are 1e-24 and less, beyond what float32 can add to a 1.
    g = (normal(seed + 1, samples, *shape) * 1e-8 * 10.0**exponent).astype(np.float32)
    first, second, third = (np.mean(g.astype(np.float64) ** power, axis=0) for power in (1, 2, 3))
    alpha = second / (2 * second + a.astype(np.float64).sum(axis=(1, 2), keepdims=True) * third)
    parts = (alpha * np.maximum(first, 0)).sum(axis=(1, 2), keepdims=True) * a
    found = smoothgradcam_plus_plus(
        torch.from_numpy(a).unsqueeze(0), torch.rand(1, 3, 4, 4), lambda count, make: (torch.from_numpy(g),) * 2,
        torch.Generator(), samples=samples,
    )[0].numpy()  # fmt: skip
    assert np.abs(found - np.maximum(parts.sum(axis=0), 0)).max() <= 1e-5 * np.abs(parts).max()


def half_pixel(channel: Array, size: tuple[int, int]) -> Array:
    """Bilinear upsampling as align_corners=False means it, one axis at a time."""
    for axis, length in enumerate(size):
        places = np.clip((np.arange(length) + 0.5) * channel.shape[axis] / length - 0.5, 0, channel.shape[axis] - 1)
        lower = np.floor(places).astype(int)
        upper = np.minimum(lower + 1, channel.shape[axis] - 1)
        share = np.expand_dims(places - lower, 1 - axis)
        channel = channel.take(lower, axis) * (1 - share) + channel.take(upper, axis) * share
    return channel


@few
@given(SHAPES.filter(lambda shape: shape[1] * shape[2] > 1), SEEDS, st.integers(-30, 30))
def test_scorecam(shape: tuple[int, int, int], seed: int, exponent: int) -> None:
    a, image, head = normal(seed, *shape) * 10.0**exponent, normal(seed + 1, 3, 11, 7), normal(seed + 2, 3, 11, 7)
    masks = [half_pixel(channel, (11, 7)) for channel in a]
    masks = [(mask - mask.min()) / (mask.max() - mask.min()) for mask in masks]
    baseline = 0.0
    increases = np.array([(head * np.tanh(image * mask)).sum() - baseline for mask in masks])
    weights = np.exp(increases - increases.max())
    expected = np.maximum((weights[:, None, None] / weights.sum() * a).sum(axis=0), 0)

    def scores(count: int, make: Make) -> torch.Tensor:
        return (tensor(head) * make(0, count).tanh()).sum(dim=(1, 2, 3))

    found = scorecam(tensor(a), tensor(image), scores)[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * np.abs(a).max())


@few
@given(SHAPES, SEEDS, st.floats(-5, 5).filter(lambda offset: abs(offset) > 1e-3))
def test_ablationcam(shape: tuple[int, int, int], seed: int, offset: float) -> None:
    a, head = normal(seed, 2, *shape)

    def score(version: Array) -> float:
        return float(np.tanh(head * version).sum() + offset)

    drops = [score(a) - score(np.where(np.arange(len(a))[:, None, None] == k, 0, a)) for k in range(len(a))]
    expected = np.maximum((np.array(drops)[:, None, None] / abs(score(a)) * a).sum(axis=0), 0)

    def scores(count: int, make: Make) -> torch.Tensor:
        return (tensor(head) * make(0, count)).tanh().sum(dim=(1, 2, 3)) + offset

    found = ablationcam(tensor(a), score(a), scores)[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 / abs(score(a)))


@few
@given(SEEDS, st.integers(1, 150), st.integers(1, 6), st.floats(0.2, 0.8))
def test_rise(seed: int, count: int, cells: int, keep: float) -> None:
    head, seen = normal(seed, 9, 6), []

    def scores(number: int, make: Make) -> torch.Tensor:
        seen.append(make(0, number))
        return (seen[0][:, 0] * torch.from_numpy(head)).tanh().sum(dim=(1, 2)) - 3

    # The image is ones, so what the model sees are the masks.
    image, generator = torch.ones(1, 2, 9, 6, dtype=torch.float64), torch.Generator().manual_seed(seed)
    found = rise(image, scores, generator, masks=count, cells=cells, keep=keep)
    masks = seen[0][:, 0].numpy()
    values = np.tanh(masks * head).sum(axis=(1, 2)) - 3
    total = masks.sum(axis=0)
    kept = np.divide((values[:, None, None] * masks).sum(axis=0), total, out=np.full((9, 6), -np.inf), where=total > 0)
    np.testing.assert_allclose(found[0].numpy(), np.maximum(kept - values.mean(), 0), rtol=1e-9, atol=1e-9)


@few
@given(SEEDS, st.integers(1, 5), st.data())
def test_occlusion(seed: int, window: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, window))
    image, head = normal(seed, 2, 2, 5, 8)

    def score(version: Array) -> float:
        return float((head * np.tanh(version)).sum())

    drops: dict[tuple[int, int], list[float]] = {}
    for top in sorted({*range(0, 5 - window, stride), 5 - window}):
        for left in sorted({*range(0, 8 - window, stride), 8 - window}):
            hidden = image.copy()
            hidden[:, top : top + window, left : left + window] = 0.5
            for place in np.ndindex(window, window):
                drops.setdefault((top + place[0], left + place[1]), []).append(score(image) - score(hidden))
    expected = [[max(np.mean(drops[y, x]), 0) for x in range(8)] for y in range(5)]

    def scores(count: int, make: Make) -> torch.Tensor:
        return (tensor(head) * make(0, count).tanh()).sum(dim=(1, 2, 3))

    found = occlusion(tensor(image), score(image), scores, window=window, stride=stride, baseline=0.5)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-12, 1e-6])
def test_kpcacam_of_small_activations_has_the_digits_that_the_printed_kernel_loses(scale: float) -> None:
    a = normal(4, 5, 3, 3)
    slope = (1 - np.tanh(1) ** 2) / 5
    np.testing.assert_allclose(kpcacam(tensor(a * scale))[0].numpy(), principal(a) * scale * slope**0.5, rtol=1e-5)
