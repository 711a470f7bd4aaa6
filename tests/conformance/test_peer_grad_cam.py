"""The other methods against pytorch-grad-cam, on a small network; where it differs, how, so that a change is noticed.

Its maps come scaled from 0 to 1 and resized to the input. The layer has the input's grid, so that nothing is resized.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pytorch_grad_cam import (
    KPCA_CAM,
    AblationCAM,
    EigenCAM,
    EigenGradCAM,
    FinerCAM,
    GradCAMElementWise,
    ScoreCAM,
    ShapleyCAM,
)
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torch.nn.functional import interpolate

from pytest_cam.engine.methods.ablationcam import ablationcam
from pytest_cam.engine.methods.eigencam import eigencam
from pytest_cam.engine.methods.eigengradcam import eigengradcam
from pytest_cam.engine.methods.finercam import finercam
from pytest_cam.engine.methods.gradcam import gradcam
from pytest_cam.engine.methods.gradcam_elementwise import gradcam_elementwise
from pytest_cam.engine.methods.kpcacam import kpcacam
from pytest_cam.engine.methods.principal_component import deviations, first_component
from pytest_cam.engine.methods.scorecam import scorecam
from pytest_cam.engine.methods.shapleycam import shapleycam

Array = npt.NDArray[np.float64]
Trace = Callable[..., Any]
# It hands float32 to OpenCV, and adds 1e-7 to what it divides by.
CLOSE = {"rtol": 0.0, "atol": 2e-6}


def scaled(maps: torch.Tensor) -> Array:
    found = maps[0].numpy()
    assert found.max() > found.min(), "a map of one value proves nothing"
    return (found - found.min()) / (found.max() - found.min())


def peer(method: Any, trace: Any, **options: Any) -> Array:
    with method(trace.network, [trace.network.layer]) as cam:
        found: Array = cam(trace.image, [ClassifierOutputTarget(trace.target)], **options)[0]
    return found


def weighted(weights: torch.Tensor, activations: torch.Tensor) -> torch.Tensor:
    return torch.einsum("k,bkhw->bhw", weights, activations).relu()


@pytest.mark.parametrize("signed", [False, True])
def test_gradcam_elementwise(traced: Trace, signed: bool) -> None:
    trace = traced(signed=signed)
    found = scaled(gradcam_elementwise(trace.activations, trace.gradients))
    np.testing.assert_allclose(found, peer(GradCAMElementWise, trace), **CLOSE)


def test_shapleycam(traced: Trace) -> None:
    trace = traced(bend=nn.Tanh)
    found = scaled(shapleycam(trace.activations, trace.gradients, trace.curvature))
    np.testing.assert_allclose(found, peer(ShapleyCAM, trace), **CLOSE)
    # The curvature has a say in it.
    assert np.abs(found - scaled(gradcam(trace.activations, trace.gradients))).max() > 1e-3


@pytest.mark.parametrize("signed", [False, True])
def test_eigencam_up_to_sign(traced: Trace, signed: bool) -> None:
    # Its sign is that of NumPy's SVD, which is the LAPACK's of the machine: either side of the component is right.
    trace = traced(signed=signed)
    rows = deviations(trace.activations)
    component = first_component(rows).view(1, 12, 12)
    sides = [scaled(component.relu()), scaled((-component).relu())]
    found = peer(EigenCAM, trace)
    assert min(np.abs(side - found).max() for side in sides) < 2e-6
    # Ours is one of the two, whatever the machine.
    assert min(np.abs(side - scaled(eigencam(trace.activations))).max() for side in sides) < 1e-12


def test_eigengradcam_up_to_sign(traced: Trace) -> None:
    trace = traced()
    component = first_component(deviations(trace.activations * trace.gradients)).view(1, 12, 12)
    sides = [scaled(component.relu()), scaled((-component).relu())]
    assert min(np.abs(side - peer(EigenGradCAM, trace)).max() for side in sides) < 2e-6
    ours = scaled(eigengradcam(trace.activations, trace.gradients))
    assert min(np.abs(side - ours).max() for side in sides) < 1e-12


def test_kpcacam_up_to_sign(traced: Trace) -> None:
    trace = traced(signed=True)
    ours, inverted = kpcacam(trace.activations), kpcacam(-trace.activations)
    # The kernel of -A is that of A, so the component is the same, and its sign the other one.
    sides = [scaled(ours), scaled(inverted)]
    assert min(np.abs(side - peer(KPCA_CAM, trace)).max() for side in sides) < 1e-5


def test_scorecam_on_the_grid_of_the_input(traced: Trace) -> None:
    trace = traced()
    found = scaled(scorecam(trace.activations, trace.image, trace.score_inputs))
    np.testing.assert_allclose(found, peer(ScoreCAM, trace), **CLOSE)


def corner_masks(trace: Any) -> torch.Tensor:
    """Masks as grad-cam has them: upsampled with align_corners=True."""
    masks = interpolate(trace.activations[0].unsqueeze(1), size=(12, 12), mode="bilinear", align_corners=True)
    low, high = masks.amin(dim=(2, 3), keepdim=True), masks.amax(dim=(2, 3), keepdim=True)
    return (masks - low) / (high - low)


def test_scorecam_on_a_coarser_grid_is_upsampled_otherwise(traced: Trace) -> None:
    trace = traced(stride=2, scale=10)
    with torch.no_grad():
        expected = trace.network(trace.image * corner_masks(trace))[:, trace.target].softmax(dim=0)
    with ScoreCAM(trace.network, [trace.network.layer]) as cam:
        target = [ClassifierOutputTarget(trace.target)]
        weights = cam.get_cam_weights(trace.image, None, target, trace.activations.numpy(), None)[0]
    np.testing.assert_allclose(weights, expected.numpy(), rtol=1e-4, atol=1e-6)
    # With align_corners=False, which the upsampling of every map here has, the weights are others.
    ours = scorecam(trace.activations, trace.image, trace.score_inputs)
    theirs = weighted(expected, trace.activations)
    assert float((ours - theirs).abs().max() / theirs.max()) > 1e-3


def test_scorecam_gives_a_constant_channel_a_weight_in_the_peer(traced: Trace) -> None:
    # Its mask is 0 / 1e-8 there, and the score of an input of zeros gets its share of the softmax. Here it has none.
    trace = traced()
    activations = trace.activations.clone()
    activations[0, 3] = 5.0
    with ScoreCAM(trace.network, [trace.network.layer]) as cam:
        target = [ClassifierOutputTarget(trace.target)]
        weights = cam.get_cam_weights(trace.image, None, target, activations.numpy(), None)[0]
    assert weights[3] > 0.01
    rest = torch.tensor(np.delete(weights, 3)) / (1 - weights[3])
    expected = weighted(rest.double(), activations[:, [0, 1, 2, 4, 5, 6, 7]])
    torch.testing.assert_close(scorecam(activations, trace.image, trace.score_inputs), expected, rtol=1e-5, atol=1e-6)


def test_ablationcam(traced: Trace) -> None:
    # Scores of about 20 in float32, of which the drops are a small part: five digits are left of them.
    trace = traced(bias=20.0)
    assert trace.score > 0
    found = scaled(ablationcam(trace.activations, trace.score, trace.score_activations))
    np.testing.assert_allclose(found, peer(AblationCAM, trace), rtol=0.0, atol=2e-5)


def test_ablationcam_of_a_negative_score_is_turned_over_in_the_peer(traced: Trace) -> None:
    # (y - y_k) / y, as published: with y < 0 a channel that the score needs has a negative weight.
    trace = traced(bias=-20.0)
    assert trace.score < 0
    unablated = traced(bias=20.0)
    ours = scaled(ablationcam(trace.activations, trace.score, trace.score_activations))
    same = ablationcam(unablated.activations, unablated.score, unablated.score_activations)
    np.testing.assert_allclose(ours, scaled(same), atol=1e-9)
    turned = weighted(-drops(trace, 0.0), trace.activations)
    np.testing.assert_allclose(peer(AblationCAM, trace), scaled(turned), rtol=0.0, atol=2e-5)


def test_ablationcam_of_a_layer_with_both_signs_is_no_ablation_in_the_peer(traced: Trace) -> None:
    # Unless the smallest activation is 0, it does not set a channel to 0 but to the smallest value less 1e7, and the
    # smallest value is that of the batch so far: 1e7 lower for each channel, so that their order has a say in the map.
    trace = traced(signed=True, bias=20.0)
    extreme = weighted(drops(trace, -1e7) / trace.score, trace.activations)
    np.testing.assert_allclose(peer(AblationCAM, trace), scaled(extreme), rtol=0.0, atol=1e-4)
    ours = scaled(ablationcam(trace.activations, trace.score, trace.score_activations))
    assert np.abs(ours - scaled(extreme)).max() > 0.1
    np.testing.assert_allclose(ours, scaled(weighted(drops(trace, 0.0), trace.activations)), atol=1e-9)


def drops(trace: Any, step: float) -> torch.Tensor:
    """Return what the score loses without each channel; with a step below 0 each is set to a value so much lower."""
    versions = trace.activations.repeat(8, 1, 1, 1)
    smallest = float(trace.activations.min())
    for k in range(8):
        versions[k, k] = smallest + (k + 1) * step if step else 0.0
    return trace.score - trace.score_activations(8, lambda start, stop: versions[start:stop])


def finer(trace: Any, **options: Any) -> Array:
    return scaled(finercam(trace.activations, trace.logits, trace.target, trace.class_gradients, **options))


def peer_finer(trace: Any, categories: list[int], alpha: float) -> Array:
    cam = FinerCAM(trace.network, [trace.network.layer])
    found: Array = cam(trace.image, alpha=alpha, comparison_categories=categories)[0]
    return found


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_finercam_against_one_class(traced: Trace, alpha: float) -> None:
    trace = traced()
    np.testing.assert_allclose(finer(trace, alpha=alpha, classes=1), peer_finer(trace, [1], alpha), **CLOSE)


def test_finercam_against_more_classes_is_weighted_by_probability_in_the_peer(traced: Trace) -> None:
    # The paper takes the mean over the similar classes. The peer weighs each difference by the class's probability, and
    # its gradient goes through the probabilities too.
    trace = traced()
    theirs = peer_finer(trace, [1, 2, 3], 0.6)
    assert np.abs(finer(trace) - theirs).max() > 1e-3
    leaf = trace.activations.clone().requires_grad_()
    logits = trace.network.head(leaf)[0]
    order = (trace.logits[0] - trace.score).abs().argsort()[1:4]
    share = logits.softmax(dim=0)[order]
    score = (share * (logits[trace.target] - 0.6 * logits[order])).sum() / share.sum()
    (gradients,) = torch.autograd.grad(score, leaf)
    np.testing.assert_allclose(theirs, scaled(gradcam(trace.activations, gradients)), **CLOSE)
