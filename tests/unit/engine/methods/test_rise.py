from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pytest_cam.engine.methods.resources import Make, Scores
from pytest_cam.engine.methods.rise import rise
from pytest_cam.errors import MethodError

Scored = Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores]
IMAGE = torch.ones(1, 3, 16, 24)


def corner(versions: torch.Tensor) -> torch.Tensor:
    return versions[:, 0, :4, :6].mean(dim=(1, 2))


def test_map_is_the_difference_of_two_means_by_hand(scored: Scored, generator: torch.Generator) -> None:
    # One cell for the whole input: each mask is all 0 or all 1, and the mean score of those kept is that of the image.
    kept = torch.rand(10, generator=torch.Generator().manual_seed(3)) < 0.5
    share = float(kept.float().mean())
    assert 0 < share < 1
    found = rise(torch.full((1, 1, 2, 2), 7.0), scored(lambda v: v[:, 0, 0, 0]), generator, masks=10, cells=1)
    torch.testing.assert_close(found, torch.full((1, 2, 2), 7.0 - 7.0 * share))


def test_map_is_on_the_input_where_the_score_comes_from(scored: Scored, generator: torch.Generator) -> None:
    found = rise(IMAGE, scored(corner), generator, masks=400, cells=4)
    assert found.shape == (1, 16, 24)
    peak = divmod(int(found.argmax()), 24)
    assert peak[0] < 4
    assert peak[1] < 6
    # Cells far from it say nothing but what chance leaves.
    assert float(found[0, 8:, 12:].max()) < 0.2 * float(found.max())


def test_a_score_that_never_changes_gives_exactly_zero(scored: Scored, generator: torch.Generator) -> None:
    found = rise(
        IMAGE,
        scored(lambda versions: torch.full((len(versions),), 0.1, dtype=torch.float64)),
        generator,
        masks=47,
        cells=4,
    )
    assert not found.any()


def test_a_constant_in_the_score_changes_nothing(scored: Scored) -> None:
    def offset(by: float) -> torch.Tensor:
        scores = scored(lambda versions: corner(versions).double() + by)
        return rise(IMAGE, scores, torch.Generator().manual_seed(1), masks=50)

    torch.testing.assert_close(offset(0.0), offset(-100.0))


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.8])
def test_masks_keep_the_share_that_was_asked_for(generator: torch.Generator, keep: float) -> None:
    masks = []

    def scores(count: int, make: Make) -> torch.Tensor:
        masks.append(make(0, count))
        return torch.zeros(count)

    rise(IMAGE, scores, generator, masks=600, keep=keep)
    assert float(masks[0].mean()) == pytest.approx(keep, abs=0.02)
    assert float(masks[0].min()) == 0.0
    assert float(masks[0].max()) == 1.0
    # All channels of the input are masked alike.
    assert torch.equal(masks[0][:, 0], masks[0][:, 2])


def test_masks_are_shifted(generator: torch.Generator) -> None:
    masks = []

    def scores(count: int, make: Make) -> torch.Tensor:
        masks.append(make(0, count))
        return torch.zeros(count)

    rise(IMAGE, scores, generator, masks=200, cells=2)
    # Four cells, kept or not, are 16 masks; there are more.
    assert len(masks[0].flatten(1).unique(dim=0)) > 100


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [
        ("masks", 0, "a whole number at least 1 is accepted"),
        ("masks", 10.0, "a whole number at least 1 is accepted"),
        ("cells", 17, "a whole number from 1 to 16 is accepted (the input is 16 x 24 pixels)"),
        ("keep", 1, "a number above 0 and below 1 is accepted"),
        ("keep", 0.0, "a number above 0 and below 1 is accepted"),
    ],
)
def test_an_option_that_cannot_be_is_an_error(
    scored: Scored, generator: torch.Generator, option: str, value: Any, accepted: str
) -> None:
    with pytest.raises(MethodError) as caught:
        rise(IMAGE, scored(corner), generator, **{option: value})
    assert str(caught.value) == f"rise: {option}={value!r}, where {accepted}"
