"""What stands in place of hidden pixels."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pytest_cam.errors import SettingError, VacuousError
from pytest_cam.images.filling import blurred, filled
from pytest_cam.images.fills import FILLS


def inner(size: int = 32) -> np.ndarray:
    share = np.zeros((size, size))
    share[8:16, 8:24] = 1
    return share


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pixels_of_which_nothing_is_hidden_stay_to_the_bit(noise, fill, dtype):
    pixels = noise.astype(dtype) / (1 if dtype == np.uint8 else np.float32(3))
    pixels = pixels.astype(dtype)
    share = inner()

    changed = filled(pixels, share, fill)

    assert changed.dtype == dtype
    np.testing.assert_array_equal(changed[share == 0], pixels[share == 0])
    assert (changed[share == 1] != pixels[share == 1]).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (-2.0, 0.5), (1e-4, 3e-4)])
def test_hidden_object_on_an_even_ground_leaves_no_edge_of_its_own(fill, low, high):
    # Five channels, and a range that is none of a picture's.
    pixels = np.full((32, 32, 5), low, dtype=np.float32)
    pixels[10:14, 10:20] = high

    changed = filled(pixels, inner(), fill)

    expected = {
        "inpaint": (low, low),  # the ground, continued
        "mean": (low + (high - low) * 40 / 1024,) * 2,  # the object has 40 of the 1024 pixels
        "blur": (low, low + (high - low) * 0.1),  # a tenth of the contrast is left at most
    }[fill]
    within = changed[8:16, 8:24]
    slack = (high - low) * 1e-4
    assert expected[0] - slack <= within.min() <= within.max() <= expected[1] + slack


def test_partly_hidden_pixel_is_mixed_by_area():
    pixels = np.zeros((1, 4, 1), dtype=np.float32)
    pixels[0, 0] = 8.0  # the mean is 2

    changed = filled(pixels, np.array([[0.25, 0.5, 0.0, 1.0]]), "mean")

    assert changed[0, :, 0].tolist() == [0.75 * 8 + 0.25 * 2, 1.0, 0.0, 2.0]


def test_standard_deviation_of_the_blur_is_a_quarter_of_the_longer_side():
    step = np.zeros((8, 64, 1), dtype=np.float32)
    step[:, 32:] = 1.0
    # One of them, 16 pixels, beyond the edge: the normal distribution up to 1, less what is mirrored beyond 3.
    assert blurred(step)[4, 47:49, 0].mean() == pytest.approx(0.8413 - 0.0013, abs=0.005)


def test_hiding_part_of_a_photo_mixes_that_part_alone():
    pixels = np.full((300, 400, 3), 80, dtype=np.uint8)
    share = np.zeros((300, 400))
    share[100:150, 50:200] = 0.5

    tracemalloc.start()
    filled(pixels, share, "mean")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 6 * pixels.size  # of which 4 are its numbers in float32, and 1 is the result


def test_mean_of_8_bits_is_rounded():
    pixels = np.array([[1, 2, 2, 2]], dtype=np.uint8)[:, :, None]
    assert filled(pixels, np.ones((1, 4)), "mean").ravel().tolist() == [2, 2, 2, 2]


def test_blur_is_as_strong_at_any_size():
    stripes = np.zeros((1, 4096, 1), dtype=np.float32)
    stripes[:, 4::8] = 1.0
    for width in (64, 256, 4096):
        assert np.ptp(blurred(stripes[:, :width])) < 0.03


@pytest.mark.parametrize("fill", FILLS)
def test_large_picture_is_filled_as_a_small_one(fill):
    small = np.zeros((64, 96, 3), dtype=np.float32)
    small[:, 48:] = 1.0
    share = np.zeros((64, 96))
    share[16:48, 8:40] = 1
    large = small.repeat(16, axis=0).repeat(16, axis=1)

    changed = filled(large, share.repeat(16, axis=0).repeat(16, axis=1), fill)

    np.testing.assert_allclose(changed[8::16, 8::16], filled(small, share, fill), atol=0.03)


@pytest.mark.parametrize("start", [0, 1, 2])
def test_inpainting_reads_nothing_that_is_hidden_near_the_edges_of_the_image(start):
    pixels = np.zeros((16, 16, 1), dtype=np.float32)
    share = np.zeros((16, 16))
    share[start : start + 4, start : start + 4] = 1
    pixels[share == 1] = 1.0

    assert not filled(pixels, share, "inpaint").any()


def test_nothing_to_inpaint_from_is_an_error():
    with pytest.raises(VacuousError, match=r"nothing is around it here\. Take fill='blur' or fill='mean'"):
        filled(np.zeros((8, 8, 3), dtype=np.float32), np.ones((8, 8)), "inpaint")


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("blurr", r"there is no fill 'blurr'\. Did you mean 'blur'\? Accepted: 'blur', 'mean', 'inpaint'\."),
        (0, r"there is no fill 0\. Accepted: 'blur', 'mean', 'inpaint'\."),
    ],
)
def test_unknown_fill_is_answered_with_the_nearest(given, answer):
    with pytest.raises(SettingError, match=answer):
        filled(np.zeros((8, 8, 3), dtype=np.uint8), inner(8), given)
