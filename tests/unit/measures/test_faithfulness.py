"""Curves, areas and imputed pixels, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_cam.errors import VacuousError
from pytest_cam.measures.faithfulness import area, highest, imputed, ranks_of, share_beaten


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_rank_is_the_place_in_descending_order():
    ranks = ranks_of([[0.1, 0.9], [0.5, 0.3]], rng())
    assert ranks.tolist() == [[3, 0], [1, 2]]
    assert highest(ranks, 0.5).tolist() == [[False, True], [True, False]]
    assert not highest(ranks, 0).any()
    assert highest(ranks, 1).all()


def test_pixels_of_one_value_have_no_order_of_their_own():
    ranks = ranks_of(np.zeros((64, 64)), rng())
    assert sorted(ranks.ravel()) == list(range(64 * 64))
    top = highest(ranks, 0.5)
    assert top[:32].mean() == pytest.approx(0.5, abs=0.05)
    assert (ranks == ranks_of(np.zeros((64, 64)), rng())).all()


@pytest.mark.parametrize(
    ("shares", "curve", "expected"),
    [
        ([0, 1], [1, 0], 0.5),
        ([0, 0.5, 1], [1, 0, 0], 0.25),
        ([0, 0.5, 1], [1, 1, 0], 0.75),
        ([0, 0.25, 0.5], [1, 0, 0], 0.25),  # of half the width
        ([0, 0.1, 1], [3, 3, 3], 3.0),
    ],
)
def test_area_is_the_mean_height_of_the_curve(shares, curve, expected):
    assert area(shares, curve) == pytest.approx(expected)


def test_equal_area_is_not_beaten():
    others = [0.1, 0.2, 0.3, 0.4]
    assert share_beaten(0.2, others, lower_is_better=True) == 0.5
    assert share_beaten(0.2, others, lower_is_better=False) == 0.25


def test_imputation_continues_a_slope():
    # The weights are the same on both sides: a plane is its own weighted mean.
    y, x = np.mgrid[0:9, 0:12]
    pixels = np.stack([2.0 * x - y, np.full((9, 12), -3.0)])
    missing = np.zeros((9, 12), dtype=bool)
    missing[2:7, 3:9] = True
    broken = np.where(missing, 99.0, pixels)

    found = imputed(broken, missing, rng(), noise=0)

    np.testing.assert_allclose(found, pixels, atol=1e-9)


def test_one_missing_pixel_is_the_weighted_mean_of_its_neighbours():
    pixels = np.array([[[12.0, 6.0, 0.0], [0.0, 99.0, 0.0], [0.0, 0.0, 0.0]]])
    missing = np.zeros((3, 3), dtype=bool)
    missing[1, 1] = True
    assert imputed(pixels, missing, rng(), noise=0)[0, 1, 1] == pytest.approx(12 / 12 + 6 / 6)
    # In a corner there are two beside it and one across: 5/12 in all.
    missing = np.roll(missing, (-1, -1), axis=(0, 1))
    assert imputed(pixels, missing, rng(), noise=0)[0, 0, 0] == pytest.approx((6 / 6 + 99 / 12) / (5 / 12))


def test_noise_is_a_share_of_the_channels_own_spread_and_seeded():
    pixels = np.random.default_rng(1).standard_normal((2, 64, 64)) * np.array([1.0, 100.0])[:, None, None]
    missing = np.zeros((64, 64), dtype=bool)
    missing[::2] = True
    plain = imputed(pixels, missing, rng(), noise=0)
    noise = imputed(pixels, missing, rng()) - plain
    assert not noise[:, ~missing].any()
    spread = noise[:, missing].std(axis=1) / plain.std(axis=(1, 2))
    np.testing.assert_allclose(spread, 0.01, rtol=0.1)
    np.testing.assert_array_equal(noise, imputed(pixels, missing, rng()) - plain)


def test_nothing_known_is_an_error_and_nothing_missing_changes_nothing():
    pixels = np.ones((1, 4, 4))
    with pytest.raises(VacuousError, match="no pixel is known"):
        imputed(pixels, np.ones((4, 4), dtype=bool), rng())
    np.testing.assert_array_equal(imputed(pixels, np.zeros((4, 4), dtype=bool), rng()), pixels)
