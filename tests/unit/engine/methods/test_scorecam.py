from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from pytest_cam.engine.methods.resources import Scores
from pytest_cam.engine.methods.scorecam import scorecam

IMAGE = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
Scored = Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores]


def total(versions: torch.Tensor) -> torch.Tensor:
    return versions.sum(dim=(1, 2, 3))


def test_map_by_hand(scored: Scored) -> None:
    # The grid is the input's, so masks are the channels from 0 to 1: the first lets through 4, the second 1 + 2 / 2.
    # Their scores are 4 and 2, so the weights are e^4 and e^2 over their sum.
    activations = torch.tensor([[[[0.0, 0.0], [0.0, 3.0]], [[1.0, 0.0], [-1.0, -1.0]]]])
    first, second = math.exp(4) / (math.exp(4) + math.exp(2)), math.exp(2) / (math.exp(4) + math.exp(2))
    found = scorecam(activations, IMAGE, scored(total))[0]
    assert found.tolist() == [pytest.approx([second, 0.0]), pytest.approx([0.0, 3 * first - second])]


def test_constant_channels_count_nothing(scored: Scored) -> None:
    varying = torch.tensor([[0.0, 0.0], [0.0, 3.0]])
    activations = torch.stack([torch.full((2, 2), 5.0), varying, torch.zeros(2, 2)]).unsqueeze(0)
    # The one channel that is left has all the weight.
    assert scorecam(activations, IMAGE, scored(total)).tolist() == [varying.tolist()]


def test_map_of_nothing_but_constant_channels_is_zero(scored: Scored) -> None:
    assert scorecam(torch.ones(1, 2, 2, 2), IMAGE, scored(total)).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


@pytest.mark.parametrize(
    ("channel", "mask"),
    [
        # Places 1/8 * 3 - 0.5 = -0.125, 0.625, 1.375, 2.125 of the channel: 0, 5, 5, 0, and then 1 at the largest.
        ([0.0, 8.0, 0.0], [0.0, 1.0, 1.0, 0.0]),
        # 8, 3, 3, 8, and then 0 at the smallest.
        ([8.0, 0.0, 8.0], [1.0, 0.0, 0.0, 1.0]),
    ],
)
def test_masks_reach_from_zero_to_one_over_the_image(scored: Scored, channel: list[float], mask: list[float]) -> None:
    masked = []

    def keep(versions: torch.Tensor) -> torch.Tensor:
        masked.append(versions)
        return total(versions)

    # Bilinear from 3 to 4 with align_corners=False never reaches the value in the middle.
    scorecam(torch.tensor([[[channel]]]), torch.ones(1, 3, 1, 4), scored(keep))
    assert masked[0][0].tolist() == [[mask]] * 3


def test_scores_far_apart_do_not_overflow(scored: Scored) -> None:
    activations = torch.tensor([[[[0.0, 0.0], [0.0, 3.0]], [[1.0, 0.0], [0.0, 0.0]]]])
    found = scorecam(activations, IMAGE, scored(lambda versions: 1e8 * total(versions)))
    assert found.tolist() == [[[0.0, 0.0], [0.0, 3.0]]]
