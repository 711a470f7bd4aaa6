from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pytest_cam.engine.methods.occlusion import occlusion
from pytest_cam.engine.methods.resources import Make, Scores
from pytest_cam.errors import MethodError

Scored = Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores]


def total(versions: torch.Tensor) -> torch.Tensor:
    return versions.sum(dim=(1, 2, 3))


def test_map_by_hand(scored: Scored) -> None:
    # Windows of one pixel: the drop is the pixel, and what lowers the score is left out.
    image = torch.tensor([[[[1.0, -2.0], [3.0, 4.0]]]])
    assert occlusion(image, 6.0, scored(total), window=1).tolist() == [[[1.0, 0.0], [3.0, 4.0]]]


def test_a_pixel_has_the_mean_of_its_windows(scored: Scored) -> None:
    # Windows of 2 x 2 over 2 x 3, at columns 0 and 1: drops 1 + 2 + 0 + 1 = 4 and 2 + 9 + 1 + 0 = 12; the middle has
    # both.
    image = torch.tensor([[[[1.0, 2.0, 9.0], [0.0, 1.0, 0.0]]]])
    assert occlusion(image, 13.0, scored(total), window=2).tolist() == [[[4.0, 8.0, 12.0], [4.0, 8.0, 12.0]]]


def test_the_last_window_ends_at_the_border(scored: Scored) -> None:
    # Windows of 2 x 2 by 2 over 2 x 3: columns 0 and 2, but the second one would stand out and begins at 1.
    image = torch.tensor([[[[1.0, 2.0, 9.0], [0.0, 1.0, 0.0]]]])
    assert occlusion(image, 13.0, scored(total), window=2, stride=2).tolist() == [[[4.0, 8.0, 12.0], [4.0, 8.0, 12.0]]]


def test_the_baseline_fills_the_window_in_all_channels(scored: Scored) -> None:
    image = torch.full((1, 3, 2, 2), 5.0)
    assert occlusion(image, 60.0, scored(total), window=1, baseline=4.0).tolist() == [[[3.0, 3.0], [3.0, 3.0]]]


def test_window_and_stride_follow_the_input() -> None:
    # Shorter side 28: windows of 4 by 2, 13 of them down and 19 across.
    counts = []

    def scores(count: int, make: Make) -> torch.Tensor:
        counts.append((count, make(0, 1)))
        return torch.zeros(count)

    assert occlusion(torch.ones(1, 3, 28, 40), 0.0, scores).shape == (1, 28, 40)
    assert counts[0][0] == 13 * 19
    assert int((counts[0][1][0, 0] == 0).sum()) == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window=0, where a whole number from 1 to 4 is accepted (the input is 4 x 6 pixels)"),
        ({"window": 5}, "window=5, where a whole number from 1 to 4 is accepted (the input is 4 x 6 pixels)"),
        (
            {"window": 2, "stride": 3},
            "stride=3, where a whole number from 1 to 2 is accepted (a longer one would leave pixels out)",
        ),
        ({"baseline": float("nan")}, "baseline=nan, where a finite number is accepted"),
    ],
)
def test_an_option_that_cannot_be_is_an_error(scored: Scored, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        occlusion(torch.ones(1, 3, 4, 6), 1.0, scored(total), **options)
    assert str(caught.value) == f"occlusion: {message}"


def test_a_baseline_beyond_the_type_of_the_input_is_an_error(scored: Scored) -> None:
    message = (
        r"^occlusion: baseline=70000.0, where a number from -65504 to 65504 is accepted, the range of torch.float16$"
    )
    with pytest.raises(MethodError, match=message):
        occlusion(torch.ones(1, 3, 4, 6).half(), 1.0, scored(total), baseline=70000)
