"""Score-CAM and Smooth Grad-CAM++ against torchcam, on a small network; where it differs, how."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.functional import interpolate

from pytest_cam.engine.methods.gradcam_plus_plus import gradcam_plus_plus
from pytest_cam.engine.methods.scorecam import scorecam
from pytest_cam.engine.methods.smoothgradcam_plus_plus import smoothgradcam_plus_plus

if sys.version_info < (3, 11):
    pytest.skip("torchcam needs Python 3.11", allow_module_level=True)

from torchcam import methods as torchcam

Trace = Callable[..., Any]


def peer_scorecam(trace: Any) -> torch.Tensor:
    with torchcam.ScoreCAM(trace.network, "layer") as cam:
        trace.network(trace.image)
        found: torch.Tensor = cam(trace.target, normalized=False)[0]
    return found


def test_scorecam_on_the_grid_of_the_input(traced: Trace) -> None:
    trace = traced()
    ours = scorecam(trace.activations, trace.image, trace.score_inputs)
    assert float(ours.max()) > 0
    torch.testing.assert_close(ours, peer_scorecam(trace), rtol=1e-5, atol=1e-7)


def test_scorecam_on_a_coarser_grid_scales_before_it_upsamples(traced: Trace) -> None:
    # Scaled first, a channel whose peak lies between the pixels' centres gives a mask that does not reach 1.
    trace = traced(stride=2, scale=10)
    channels = trace.activations[0]
    low, high = channels.amin(dim=(1, 2), keepdim=True), channels.amax(dim=(1, 2), keepdim=True)
    masks = interpolate(((channels - low) / (high - low)).unsqueeze(1), size=(12, 12), mode="bilinear")
    with torch.no_grad():
        weights = trace.network(trace.image * masks)[:, trace.target].softmax(dim=0)
    theirs = torch.einsum("k,bkhw->bhw", weights, trace.activations).relu()
    torch.testing.assert_close(peer_scorecam(trace), theirs, rtol=1e-5, atol=1e-7)
    ours = scorecam(trace.activations, trace.image, trace.score_inputs)
    assert float((ours - theirs).abs().max() / theirs.max()) > 1e-3


def peer_smooth(trace: Any) -> torch.Tensor:
    """Its weights (C,), with one copy and all but no noise."""
    with torchcam.SmoothGradCAMpp(trace.network, "layer", num_samples=1, std=1e-12) as cam:
        trace.network(trace.image)
        weights: torch.Tensor = cam._get_weights(trace.target)[0][0]
    return weights


def smooth(trace: Any) -> torch.Tensor:
    def trace_inputs(count: int, make: Callable[[int, int], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        assert torch.equal(make(0, count), trace.image)
        return trace.activations, trace.gradients

    generator = torch.Generator().manual_seed(0)
    return smoothgradcam_plus_plus(trace.activations, trace.image, trace_inputs, generator, samples=1, noise=0)


def test_smoothgradcam_plus_plus_sums_another_product_in_the_peer(traced: Trace) -> None:
    # The formula has sum_ab A_ab times D3 of the place ij; the peer has sum_ab A_ab D3_ab, the same for all places. So
    # it is not Grad-CAM++ even without noise. (Gradients this large make nothing of its 1e-8 in the denominator.)
    trace = traced(scale=1e4)
    g, a = trace.gradients, trace.activations
    mixed = g**2 / (2 * g**2 + (g**3 * a).sum(dim=(2, 3), keepdim=True) + 1e-8)
    theirs = (mixed * g.relu()).sum(dim=(2, 3))[0]
    torch.testing.assert_close(peer_smooth(trace), theirs, rtol=1e-6, atol=1e-9)
    ours = smooth(trace)
    torch.testing.assert_close(ours, gradcam_plus_plus(a, g), rtol=1e-9, atol=1e-12)
    other = torch.einsum("k,bkhw->bhw", theirs, a).relu()
    assert float((ours / ours.max() - other / other.max()).abs().max()) > 0.01


def test_smoothgradcam_plus_plus_of_a_single_place(traced: Trace) -> None:
    # With a stride as long as the image there is one place, and no index to mix up.
    trace = traced(stride=12, scale=1e4)
    assert trace.activations.shape[2:] == (1, 1)
    theirs = torch.einsum("k,bkhw->bhw", peer_smooth(trace), trace.activations).relu()
    assert float(theirs.max()) > 0
    torch.testing.assert_close(smooth(trace), theirs, rtol=1e-6, atol=0.0)
