"""What perturbations make of pixels, with numbers that can be checked by hand."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from pytest_cam import Brightness, Jpeg, Noise, Shift
from pytest_cam.errors import PerturbationError

# Each value says where it is: 100 times its row, and its column.
PLACES = torch.arange(8.0)[None, :, None] * 100 + torch.arange(12.0)


@pytest.mark.parametrize("cells", [1, -1])
def test_shift_is_by_whole_cells_which_need_not_be_square(cells: int) -> None:
    # Of 8 x 12 pixels, cells of a map of 4 x 4 are 2 high and 3 wide.
    rows = (torch.arange(8) - 2 * cells).clamp(0, 7)
    columns = (torch.arange(12) - 3 * cells).clamp(0, 11)
    assert torch.equal(Shift(cells).moved(PLACES, (4, 4)), PLACES[:, rows][:, :, columns])


def test_maps_are_compared_where_a_shift_leaves_both() -> None:
    original = np.arange(20.0, dtype=np.float32).reshape(4, 5)
    right_and_down, left_and_up = np.roll(original, (1, 1), (0, 1)), np.roll(original, (-1, -1), (0, 1))
    for shift, moved, shared in (
        (Shift(1), right_and_down, original[:3, :4]),
        (Shift(-1), left_and_up, original[1:, 1:]),
    ):
        stayed, came = shift.matched(original, moved)
        assert stayed.tolist() == came.tolist() == shared.tolist()


@pytest.mark.parametrize("grid", [(4, 9), (9, 4)])
def test_shift_by_half_of_the_shorter_side_is_too_much(grid: tuple[int, int]) -> None:
    with pytest.raises(PerturbationError, match=f"leaves too little of a map of {grid[0]} x {grid[1]} cells"):
        Shift(2).moved(PLACES, grid)
    assert Shift(1).moved(PLACES, grid).shape == PLACES.shape


def test_shift_by_less_than_half_of_the_shorter_side_is_not() -> None:
    assert Shift(1).moved(PLACES, (3, 9)).shape == PLACES.shape


def test_brightness_of_an_input_is_told_from_its_least_value() -> None:
    assert Brightness(2).changed(torch.tensor([-1.0, 0.0, 3.0])).tolist() == [-1.0, 1.0, 7.0]
    assert Brightness(0.5).changed(torch.tensor([-1.0, 0.0, 3.0])).tolist() == [-1.0, -0.5, 1.0]


def test_noise_is_a_share_of_the_way_from_black_to_white() -> None:
    grey = Image.new("RGB", (100, 100), (128, 128, 128))
    noisy = np.asarray(Noise(0.1).changed(grey), dtype=np.float64)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    assert noisy.std() == pytest.approx(25.5, rel=0.02)

    # An input from -1 to 3, nearly all of which is 1.
    values = torch.ones(1, 100, 100)
    values[0, 0, :2] = torch.tensor([-1.0, 3.0])
    moved = Noise(0.1).changed(values) - values
    assert float(moved.mean()) == pytest.approx(0, abs=0.02)
    assert float(moved.std()) == pytest.approx(0.4, rel=0.03)


def test_noise_stays_within_8_bits() -> None:
    for level, least, greatest in ((0, 0, 127), (255, 128, 255)):
        noisy = np.asarray(Noise(0.1).changed(Image.new("RGB", (20, 20), (level,) * 3)))
        assert least <= noisy.min() <= noisy.max() <= greatest


def test_noise_on_a_photo_takes_little_beside_the_photo_itself() -> None:
    pixels = np.arange(300 * 400 * 3).reshape(300, 400, 3).astype(np.uint8)
    photo = Image.fromarray(pixels)

    tracemalloc.start()
    noisy = np.asarray(Noise(0.1).changed(photo))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 4 * pixels.size
    # And is what all of it at once would be.
    drawn = pixels + np.random.default_rng(0).normal(0.0, 0.1 * 255, pixels.shape)
    np.testing.assert_array_equal(noisy, drawn.round().clip(0, 255).astype(np.uint8))


def test_strengths_by_default() -> None:
    strengths = Shift().cells, Brightness().factor, Noise().sigma, Noise().seed, Jpeg().quality
    assert strengths == (1, 1.2, 0.02, 0, 75)
