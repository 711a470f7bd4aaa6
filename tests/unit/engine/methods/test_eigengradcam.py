from __future__ import annotations

import pytest
import torch

from pytest_cam.engine.methods.eigengradcam import eigengradcam


def test_map_by_hand() -> None:
    # G * A is 4, 0, 0, 0 in channel 1 and constant in channel 2: 3, -1, -1, -1 around the mean.
    activations = torch.tensor([[[[2.0, 7.0], [5.0, 1.0]], [[1.0, 2.0], [4.0, 2.0]]]])
    gradients = torch.tensor([[[[2.0, 0.0], [0.0, 0.0]], [[4.0, 2.0], [1.0, 2.0]]]])
    assert eigengradcam(activations, gradients)[0].tolist() == [pytest.approx([3, 0]), pytest.approx([0, 0])]


def test_negative_gradients_turn_the_map_over() -> None:
    # A is high in the first place only; the gradient makes that speak against the score.
    activations = torch.tensor([[[[4.0, 0.0], [0.0, 0.0]]]])
    found = eigengradcam(activations, -torch.ones(1, 1, 2, 2))[0]
    assert found.tolist() == [pytest.approx([0, 1]), pytest.approx([1, 1])]


def test_products_below_the_smallest_float_count() -> None:
    activations = torch.tensor([[[[4e-30, 0.0], [0.0, 0.0]]]])
    found = eigengradcam(activations.double(), torch.full((1, 1, 2, 2), 1e-30))
    assert float(found.max()) == pytest.approx(3e-60)
