from __future__ import annotations

import torch

from pytest_cam.engine.methods.legrad import legrad


def test_map_by_hand() -> None:
    # One head and two queries on a grid of 1 x 2: negative values count as zero before the mean.
    first = torch.tensor([[[[2.0, -4.0]], [[4.0, 1.0]]]])
    # Two heads: ((6 + 0 + 2 + 0) / 4, (0 + 8 + 0 + 0) / 4)
    second = torch.tensor([[[[6.0, -1.0]], [[-2.0, 8.0]]], [[[2.0, -1.0]], [[-2.0, -8.0]]]])
    assert legrad([first]).tolist() == [[[3.0, 0.5]]]
    assert legrad([second]).tolist() == [[[2.0, 2.0]]]
    assert legrad([first, second]).tolist() == [[[2.5, 1.25]]]


def test_gradients_are_left_alone() -> None:
    gradient = torch.tensor([[[[1.0, -1.0]]]])
    legrad([gradient])
    assert gradient.tolist() == [[[[1.0, -1.0]]]]
