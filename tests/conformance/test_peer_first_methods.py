"""The five methods that most people use against pytorch-grad-cam and torchcam, on a small network.

All agree but for Grad-CAM++, of which neither has the published one; how each differs is asserted, so that a change
there is noticed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from pytest_cam.engine.methods import METHODS

Array = npt.NDArray[np.float64]
Trace = Callable[..., Any]


def scaled(maps: torch.Tensor) -> Array:
    found = maps[0].numpy()
    assert found.max() > found.min(), "a map of one value proves nothing"
    return (found - found.min()) / (found.max() - found.min())


def grad_cam(kind: Any, trace: Any) -> Array:
    with kind(trace.network, [trace.network.layer]) as cam:
        found: Array = cam(trace.image, [ClassifierOutputTarget(trace.target)])[0]
    return found


def torchcam(kind: str, trace: Any) -> torch.Tensor:
    if sys.version_info < (3, 11):
        pytest.skip("torchcam needs Python 3.11")
    from torchcam import methods

    with getattr(methods, kind)(trace.network, "layer") as cam:
        found: torch.Tensor = cam(trace.target, trace.network(trace.image), normalized=False)[0]
    return found.detach()


@pytest.mark.parametrize(
    ("name", "kind"), [("gradcam", GradCAM), ("hirescam", HiResCAM), ("layercam", LayerCAM), ("xgradcam", XGradCAM)]
)
def test_pytorch_grad_cam(traced: Trace, name: str, kind: Any) -> None:
    trace = traced()
    found = scaled(METHODS[name](trace.activations, trace.gradients))
    # It hands float32 to OpenCV, and adds 1e-7 to what it divides by.
    np.testing.assert_allclose(found, grad_cam(kind, trace), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "kind"), [("gradcam", "GradCAM"), ("layercam", "LayerCAM"), ("xgradcam", "XGradCAM")])
def test_torchcam(traced: Trace, name: str, kind: str) -> None:
    trace = traced()
    found = METHODS[name](trace.activations, trace.gradients)
    torch.testing.assert_close(found, torchcam(kind, trace), rtol=1e-5, atol=1e-9)


def test_gradcam_plus_plus_of_pytorch_grad_cam_is_right_where_gradients_are_large(traced: Trace) -> None:
    # An absolute 1e-6 is added to g^2-sized numbers: nothing beside gradients of thousands, all beside those of 1e-4.
    large, small = traced(scale=1e4), traced(scale=1e-3)
    found = scaled(METHODS["gradcam++"](large.activations, large.gradients))
    np.testing.assert_allclose(found, grad_cam(GradCAMPlusPlus, large), rtol=0, atol=1e-5)
    found = scaled(METHODS["gradcam++"](small.activations, small.gradients))
    assert np.abs(found - grad_cam(GradCAMPlusPlus, small)).max() > 1e-3


def test_gradcam_plus_plus_of_torchcam_has_lost_its_denominator(traced: Trace) -> None:
    trace = traced()
    weights = trace.gradients.relu().pow(3).sum(dim=(2, 3), keepdim=True)
    theirs = torchcam("GradCAMpp", trace)
    torch.testing.assert_close(
        theirs / theirs.max(),
        (found := (weights * trace.activations).sum(dim=1).relu()) / found.max(),
        rtol=1e-4,
        atol=1e-6,
    )
    ours = METHODS["gradcam++"](trace.activations, trace.gradients)
    assert float((ours / ours.max() - theirs / theirs.max()).abs().max()) > 1e-3
