from __future__ import annotations

import torch

from pytest_cam.engine.methods.gradcam_elementwise import gradcam_elementwise


def test_map_by_hand() -> None:
    activations = torch.tensor([[[[2.0, -2.0], [3.0, 1.0]], [[1.0, 0.0], [-4.0, 2.0]]]])
    gradients = torch.tensor([[[[1.0, -1.0], [0.0, 1.0]], [[-1.0, 5.0], [-1.0, -1.0]]]])
    # Channel 1 gives 2, 2, 0, 1; channel 2 gives -1, 0, 4, -2, of which only the 4 counts.
    assert gradcam_elementwise(activations, gradients).tolist() == [[[2.0, 2.0], [4.0, 1.0]]]
