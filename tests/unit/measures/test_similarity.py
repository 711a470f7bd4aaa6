"""One map against another: by hand, by law, and against SciPy's linear programme."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, wasserstein_distance_nd

from pytest_cam.errors import EmptyMapError, MapError, NonFiniteError
from pytest_cam.measures.localization import upsample
from pytest_cam.measures.similarity import cosine, emd, max_difference, on_finer_grid, pearson

Number = Callable[[np.ndarray, np.ndarray], float]
NUMBERS: list[Number] = [cosine, pearson, max_difference, emd]
VALUES = st.just(0.0) | st.floats(float(np.finfo(np.float32).tiny), 10, width=32)
MAPS = arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=VALUES).filter(np.any)
PAIRS = st.tuples(st.integers(2, 5), st.integers(2, 5)).flatmap(
    lambda grid: st.tuples(*[arrays(np.float64, grid, elements=st.floats(0.1, 10))] * 2)
)


def test_by_hand_on_two_cells() -> None:
    # a.b = 24, |a| = |b| = 5. A seventh of the mass moves by one cell, and the diagonal is 5^0.5 cells long.
    first, second = np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]])
    assert cosine(first, second) == pytest.approx(24 / 25)
    assert pearson(first, second) == pytest.approx(-1)
    assert max_difference(first, second) == 0.25
    assert emd(first, second) == pytest.approx(1 / 7 / 5**0.5, abs=1e-7)


def test_maps_that_nowhere_overlap() -> None:
    first, second = np.zeros((2, 3, 4))
    first[0, 0], second[2, 3] = 5.0, 0.1
    assert cosine(first, second) == 0
    assert max_difference(first, second) == 1
    # From the first cell's centre to the last one's: 3 and 2 cells, of a diagonal of 5.
    assert emd(first, second) == pytest.approx(13**0.5 / 5, abs=1e-7)
    # Means are 1/12: -2 (1/12)(11/12) + 10/144 over (11/12)^2 + 11/144.
    assert pearson(first, second) == pytest.approx(-1 / 11)


def test_earth_movers_distance_is_in_the_lengths_of_what_the_map_covers() -> None:
    first, second = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    # One cell is 4 wide, the diagonal of 6 x 8 is 10; turned, it is 3 of 10.
    assert emd(first, second, (6, 8)) == pytest.approx(0.4, abs=1e-7)
    assert emd(first.T, second.T, (6, 8)) == pytest.approx(0.3, abs=1e-7)


def test_earth_movers_distance_grows_with_the_way_and_cosine_does_not() -> None:
    maps = np.zeros((4, 1, 8))
    for column in range(4):
        maps[column, 0, 2 * column] = 1
    ways = [emd(maps[0], other) for other in maps[1:]]
    assert ways == pytest.approx([2 / 65**0.5, 4 / 65**0.5, 6 / 65**0.5], abs=1e-6)
    assert [cosine(maps[0], other) for other in maps[1:]] == [0, 0, 0]


def test_constant_map_has_no_pattern_that_could_agree() -> None:
    # Rounding alone may give an upsampled constant map a pattern, which would agree with itself.
    constant, grid = np.full((5, 8), 1 / 3), (27, 17)
    noise = np.full(grid, 1 / 3)
    noise[::2, ::3] = np.nextafter(1 / 3, 1)
    assert pearson(constant, noise) == pearson(noise, constant) == pearson(constant, constant) == 0
    other = np.ones(grid)
    assert (cosine(constant, other), emd(constant, other)) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
    assert max_difference(constant, other) < 1e-12


def test_coarser_map_is_brought_to_the_finer_grid() -> None:
    coarse, fine = np.array([[1.0, 3.0]]), np.array([[2.0, 1.0, 4.0, 8.0]])
    assert [cam.tolist() for cam in on_finer_grid(coarse, fine)] == [[[1 / 3, 0.5, 5 / 6, 1]], [[0.25, 0.125, 0.5, 1]]]
    # Each has more cells along one side.
    assert [cam.shape for cam in on_finer_grid(np.ones((2, 5)), np.ones((3, 4)))] == [(3, 5), (3, 5)]


@given(PAIRS)
def test_agrees_with_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    cells = np.argwhere(np.ones_like(first))
    moved = wasserstein_distance_nd(cells, cells, first.ravel(), second.ravel()) / np.hypot(*first.shape)
    assert emd(first, second) == pytest.approx(moved, abs=1e-6)
    if min(first.std() / first.mean(), second.std() / second.mean()) > 1e-6:
        assert pearson(first, second) == pytest.approx(pearsonr(first.ravel(), second.ravel()).statistic, abs=1e-6)


@pytest.mark.parametrize("side", [14, 24])
def test_earth_movers_distance_of_one_blob_moved_is_the_way_it_moved(side: int) -> None:
    # As long as nothing of a blob is lost, all its ways are equal, and no way is shorter.
    y, x = np.mgrid[:side, :side]
    first, second = (
        np.maximum(0, 9 - (x - left) ** 2 - (y - top) ** 2) for left, top in ((3, 4), (side - 4, side - 6))
    )
    way = np.hypot(side - 7, side - 10) / np.hypot(side, side)
    assert emd(first, second) == pytest.approx(way, abs=5e-4)


@pytest.mark.parametrize("shape", [(32, 32), (50, 30), (1, 100), (224, 224)])
def test_fine_maps_are_measured_in_blocks_to_within_one(shape: tuple[int, int]) -> None:
    first, second = np.zeros((2, *shape))
    first[0, 0], second[-1, -1] = 1, 1
    way, diagonal = np.hypot(shape[0] - 1, shape[1] - 1), np.hypot(*shape)
    block = -(-max(shape) // 24) * 2**0.5
    assert emd(first, second) == pytest.approx(way / diagonal, abs=block / diagonal)
    assert emd(first, first) == 0


def test_of_fine_maps_what_moves_within_a_block_has_not_moved() -> None:
    first, second, third = np.zeros((3, 48, 48))
    first[0, 0], second[1, 1], third[2, 2] = 1, 1, 1
    assert emd(first, second) == 0
    assert emd(first, third) == pytest.approx(2 / 48)


@given(MAPS)
def test_every_map_is_most_like_itself_at_any_scale(cam: np.ndarray) -> None:
    for other in (cam, cam * 3e-30, cam * 7e30):
        assert cosine(cam, other) == pytest.approx(1)
        assert max_difference(cam, other) == pytest.approx(0, abs=1e-12)
        assert emd(cam, other) == pytest.approx(0, abs=1e-9)
        assert pearson(cam, other) == pytest.approx(0 if np.ptp(cam) == 0 else 1)


@settings(max_examples=200)
@given(MAPS, MAPS)
def test_order_does_not_matter_and_no_number_leaves_its_range(first: np.ndarray, second: np.ndarray) -> None:
    for number, low in ((cosine, 0), (pearson, -1), (max_difference, 0), (emd, 0)):
        value = number(first, second)
        assert low <= value <= 1
        assert number(second, first) == pytest.approx(value, abs=1e-6)


@given(MAPS, st.integers(1, 3))
def test_map_is_like_its_own_upsampled_form(cam: np.ndarray, times: int) -> None:
    finer = upsample(cam, (cam.shape[0] * times, cam.shape[1] * times))
    assert cosine(cam, finer) == pytest.approx(1)
    assert emd(finer, cam) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (np.zeros((2, 2)), EmptyMapError, "zero everywhere"),
        (np.array([[1.0, np.nan]]), NonFiniteError, "in 1 of 2 cells"),
        (np.array([[1.0, -0.5]]), MapError, r"negative, -0\.5 at its lowest"),
        (np.ones(4), MapError, r"shape \(4,\); accepted: \(h, w\)"),
        (np.ones((0, 4)), MapError, r"shape \(0, 4\)"),
    ],
)
def test_what_is_no_map_is_an_error_on_either_side(
    number: Number, wrong: np.ndarray, error: type[Exception], text: str
) -> None:
    for pair in ((wrong, np.eye(2)), (np.eye(2), wrong)):
        with pytest.raises(error, match=text):
            number(*pair)
