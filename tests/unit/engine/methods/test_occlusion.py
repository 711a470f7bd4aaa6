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


def test_a_window_over_nothing_but_the_baseline_is_not_tried() -> None:
    # Of four windows of 2 x 2 two cover the pixel that is brighter than the baseline, and lower the score by 1.5. What
    # is run in a batch comes out 1/8 lower yet, as by rounding, if a great one.
    image = torch.full((1, 3, 2, 5), 4.0)
    image[:, :, 0, 2] = 5.0
    counts: list[int] = []

    def scores(count: int, make: Make) -> torch.Tensor:
        counts.append(count)
        return total(make(0, count)) / 2 - 0.125

    found = occlusion(image, float(total(image)) / 2, scores, window=2, baseline=4.0)
    assert counts == [2]
    assert found[0].tolist() == [[0.0, 0.8125, 1.625, 0.8125, 0.0]] * 2


@pytest.mark.parametrize(("value", "baseline", "said"), [(0.0, {}, "0"), (0.1, {"baseline": 0.1}, r"0\.1")])
def test_an_image_of_nothing_but_the_baseline_is_an_error(
    scored: Scored, value: float, baseline: dict[str, float], said: str
) -> None:
    with pytest.raises(MethodError, match=rf"^occlusion: the input is {said} everywhere, as the baseline is, so each"):
        occlusion(torch.full((1, 3, 4, 6), value), 1.0, scored(total), **baseline)


@pytest.mark.parametrize(("height", "width", "windows"), [(50, 64, 12 * 15), (64, 50, 15 * 12)])
def test_window_and_stride_follow_the_shorter_side(height: int, width: int, windows: int) -> None:
    # 50 / 7 = 7.1, so windows of 8 by 4: along 50 they begin at 0, 4, ... 40 and at 42, along 64 at 0, 4, ... 56.
    counts = []

    def scores(count: int, make: Make) -> torch.Tensor:
        counts.append((count, make(0, 1)))
        return torch.zeros(count)

    assert occlusion(torch.ones(1, 3, height, width), 0.0, scores).shape == (1, height, width)
    assert counts[0][0] == windows
    assert int((counts[0][1][0, 0] == 0).sum()) == 8 * 8


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
