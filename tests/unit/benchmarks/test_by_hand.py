"""The least that a map takes is timed on the map that attend gives, not on another one."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks.by_hand import by_hand
from pytest_cam import attend


def test_map_by_hand_is_the_one_of_attend() -> None:
    torch.manual_seed(0)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 5)]
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), *head).eval()
    given = torch.randn(1, 3, 9, 8)
    found = by_hand(model, "1")(given)
    assert found.any()
    assert np.allclose(found.numpy()[0], attend(model, given, layer="1").map, rtol=1e-5, atol=0)
    assert not model[1]._forward_hooks
