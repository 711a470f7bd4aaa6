from __future__ import annotations

import torch

from pytest_cam.engine.methods.gradcam import gradcam
from pytest_cam.engine.methods.shapleycam import shapleycam

ACTIVATIONS = torch.tensor([[[[2.0, 2.0], [3.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]]]])
GRADIENTS = torch.tensor([[[[1.0, 0.0], [0.0, 3.0]], [[-1.0, 0.0], [0.0, -1.0]]]])


def test_map_by_hand() -> None:
    # G - H.A / 2 is 0, -1, 0, 3 in channel 1, 0.5 in its mean; -1, 0, 0, 3 in channel 2, 0.5 in its mean.
    curvature = torch.tensor([[[[2.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, -8.0]]]])
    assert shapleycam(ACTIVATIONS, GRADIENTS, curvature).tolist() == [[[1.5, 1.0], [1.5, 1.5]]]


def test_without_curvature_it_is_gradcam() -> None:
    found = shapleycam(ACTIVATIONS, GRADIENTS, torch.zeros_like(ACTIVATIONS))
    assert torch.equal(found, gradcam(ACTIVATIONS, GRADIENTS))
