from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pytest_cam.engine.methods.ablationcam import ablationcam
from pytest_cam.engine.methods.resources import Make, Scores

Scored = Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores]
ACTIVATIONS = torch.tensor([[[[2.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [3.0, 0.0]]]])


def summed(offset: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """2 sum A_1 - sum A_2 + sum A_3 / 3 and a constant: 8 - 2 + 1 with all channels."""
    head = torch.tensor([2.0, -1.0, 1 / 3])
    return lambda versions: versions.sum(dim=(2, 3)) @ head + offset


def test_map_by_hand(scored: Scored) -> None:
    # Without channel 1, 2 and 3 the score drops by 8, -2 and 1; of 10 that is 0.8, -0.2, 0.1.
    found = ablationcam(ACTIVATIONS, 10.0, scored(summed(3.0)))[0]
    assert found.tolist() == [pytest.approx([1.4, 0.0]), pytest.approx([0.3, 1.6])]


@pytest.mark.parametrize("score", [-10.0, 0.0, 1.0, 7.0, 1e6])
def test_a_constant_in_the_score_leaves_the_shape_of_the_map(scored: Scored, score: float) -> None:
    # As published, the negative score would give -1.4, 0.2 and so on: what speaks against the class.
    found = ablationcam(ACTIVATIONS.double(), score, scored(lambda v: summed(score - 7.0)(v.float()).double()))[0]
    expected = torch.tensor([[14.0, 0.0], [3.0, 16.0]], dtype=torch.float64)
    torch.testing.assert_close(found * (abs(score) or 1.0), expected, rtol=1e-5 * max(abs(score), 1), atol=1e-5)


def test_channels_of_zeros_are_not_tried() -> None:
    tried = []

    def scores(count: int, make: Make) -> torch.Tensor:
        tried.append(make(0, count))
        return torch.zeros(count)

    activations = torch.zeros(1, 3, 2, 2)
    activations[0, 1] = 1.0
    assert ablationcam(activations, 5.0, scores).tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
    assert tried[0].tolist() == torch.zeros(1, 3, 2, 2).tolist()


def test_a_channel_of_zeros_and_negative_values_is_tried(scored: Scored) -> None:
    # Without it the score of 1 - 2 rises by 2: w = -2 / 1, and the map is -2 A where that is positive.
    activations = torch.tensor([[[[-2.0, 0.0], [0.0, 0.0]]]])
    found = ablationcam(activations, -1.0, scored(lambda versions: versions.sum(dim=(1, 2, 3)) + 1))
    assert found.tolist() == [[[4.0, 0.0], [0.0, 0.0]]]


def test_map_of_dead_activations_is_zero(scored: Scored) -> None:
    assert ablationcam(torch.zeros(1, 3, 2, 2), 7.0, scored(summed(0))).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_activations_are_left_alone(scored: Scored) -> None:
    before = ACTIVATIONS.clone()
    ablationcam(ACTIVATIONS, 7.0, scored(summed(0)))
    assert torch.equal(ACTIVATIONS, before)
