from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, TypeAlias

import pytest
import torch

from pytest_cam.engine.methods.resources import Make, Scores
from pytest_cam.engine.methods.rise import rise
from pytest_cam.errors import MethodError

Scored = Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores]
Ends: TypeAlias = tuple[torch.Tensor, torch.Tensor]
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


def test_map_is_what_the_drawn_masks_say_of_each_pixel(generator: torch.Generator) -> None:
    # 150 masks are more than are summed at once. They are read off inputs of ones.
    drawn = []

    def scores(count: int, make: Make) -> torch.Tensor:
        drawn.append(make(0, count)[:, 0].double())
        return corner(make(0, count))

    found = rise(IMAGE, scores, generator, masks=150, cells=4)
    rises = drawn[0][:, :4, :6].mean(dim=(1, 2))
    rises = rises - rises.mean()
    # A pixel has the mean rise over the masks, each as far as it keeps the pixel; where that is a fall, nothing.
    expected = (rises[:, None, None] * drawn[0]).sum(dim=0) / drawn[0].sum(dim=0)
    assert float(expected.min()) < -0.001
    torch.testing.assert_close(found[0], expected.clamp(min=0).float(), rtol=1e-4, atol=1e-6)


def test_a_pixel_that_no_mask_keeps_has_zero(scored: Scored, generator: torch.Generator) -> None:
    # Three masks of one cell, of which one in a million is kept.
    found = rise(IMAGE, scored(corner), generator, masks=3, cells=1, keep=1e-6)
    assert torch.equal(found, torch.zeros(1, 16, 24))


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


def test_masks_of_a_black_image_are_an_error(scored: Scored, generator: torch.Generator) -> None:
    with pytest.raises(MethodError, match=r"^rise: the input is zero everywhere, so each mask leaves it as it is"):
        rise(torch.zeros_like(IMAGE), scored(corner), generator)


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


def test_masks_are_cells_upsampled_and_shifted(generator: torch.Generator) -> None:
    masks = []

    def scores(count: int, make: Make) -> torch.Tensor:
        masks.append(make(0, count))
        return torch.zeros(count)

    rise(torch.ones(1, 1, 4, 6), scores, generator, masks=2000, cells=2)
    # Cells of 2 x 3 pixels: two of them are upsampled to the length of three, so down to 6 pixels, whose places are
    # (i + 0.5) / 3 - 0.5 = -1/3, 0, 1/3, ..., and across to 9, at (i + 0.5) / 4.5 - 0.5 = -7/18, -3/18, 1/18, ...
    down = torch.tensor([0, 0, 6, 12, 18, 18]) / 18
    across = torch.tensor([0, 0, 1, 5, 9, 13, 17, 18, 18]) / 18
    # They are cut out at one of 2 rows and 3 columns.
    possible = {
        rounded(outer((1 - down, down), torch.tensor(kept).view(2, 2), (1 - across, across))[y : y + 4, x : x + 6])
        for kept in product((0.0, 1.0), repeat=4)
        for y in range(2)
        for x in range(3)
    }
    assert {rounded(mask[0]) for mask in masks[0]} == possible


def outer(down: Ends, kept: torch.Tensor, across: Ends) -> torch.Tensor:
    """Return the cells (2, 2) on all places that two weights down and two across say."""
    return torch.stack(down).T @ kept @ torch.stack(across)


def rounded(mask: torch.Tensor) -> tuple[int, ...]:
    return tuple((mask * 1000).round().int().flatten().tolist())


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


def test_cells_are_no_more_than_the_shorter_side_of_a_tall_image(scored: Scored, generator: torch.Generator) -> None:
    with pytest.raises(MethodError, match=r"cells=17, where a whole number from 1 to 16 is .* \(the input is 24 x 16 "):
        rise(IMAGE.mT, scored(corner), generator, cells=17)
