"""Two maps of one image: what both models saw of it is compared, pixel on pixel."""

import numpy as np
import pytest

from pytest_cam.errors import EmptyMapError, ImageError
from pytest_cam.images.geometry import Geometry
from pytest_cam.measures.alignment import align

SQUARE = 16, 16


def crop(left: float, top: float, side: float, size: int, image: tuple[int, int] = (16, 8)) -> Geometry:
    """Return the geometry of a square crop that is resized to an input of size x size."""
    scale = size / side
    return Geometry(image, (size, size), ((scale, 0, -left * scale), (0, scale, -top * scale)))


def test_same_view_leaves_the_maps_alone_at_any_input_size() -> None:
    first, second = np.arange(4.0).reshape(2, 2), np.arange(16.0).reshape(4, 4)
    found = align(first, crop(4, 0, 8, 224), second, crop(4, 0, 8.001, 299))
    assert found.part is None
    assert np.array_equal(found.first, first)
    assert np.array_equal(found.second, second)
    assert found.extent == pytest.approx((8, 8))


def test_extent_is_in_image_pixels_along_the_maps_own_sides() -> None:
    # A quarter turn: the input's rows are the image's columns.
    turned = Geometry((16, 8), (8, 16), ((0, 1, 0), (-1, 0, 16)))
    found = align(np.ones((4, 2)), turned, np.ones((4, 2)), turned)
    assert found.extent == pytest.approx((16, 8))


def test_crops_are_compared_over_their_common_part() -> None:
    # One sees columns 0 to 8, the other 4 to 12, each with a cell a pixel; the map is the column's number.
    columns = np.tile(np.arange(16.0), (8, 1))
    found = align(columns[:, 0:8], crop(0, 0, 8, 8), columns[:, 4:12], crop(4, 0, 8, 8))
    assert found.part == pytest.approx((4, 0, 8, 8))
    assert found.extent == pytest.approx((8, 4))
    np.testing.assert_allclose(found.first, columns[:, 4:8])
    np.testing.assert_allclose(found.second, columns[:, 4:8])


def test_crops_that_differ_both_ways_are_sampled_bilinearly_over_what_both_see() -> None:
    # Both maps are 10 y + x at the centres of their cells. The first has cells of 2 pixels, from (0, 2) to (8, 10), the
    # second of one, from (3, 5) to (11, 13).
    def plane(left: float, top: float, cell: float, cells: int) -> np.ndarray:
        along = (np.arange(cells) + 0.5) * cell
        return 10 * (top + along)[:, None] + left + along

    found = align(plane(0, 2, 2, 4), crop(0, 2, 8, 8, SQUARE), plane(3, 5, 1, 8), crop(3, 5, 8, 24, SQUARE))
    assert found.part == pytest.approx((3, 5, 8, 10))
    assert found.extent == pytest.approx((5, 5))
    expected = plane(3, 5, 1, 5)
    np.testing.assert_allclose(found.second, expected)
    # Beyond the centres of the outermost cells, at 7 and 9, the first map goes on as it is there.
    expected[:, 4] -= 0.5
    expected[4] -= 10 * 0.5
    np.testing.assert_allclose(found.first, expected)
    other_way = align(plane(3, 5, 1, 8), crop(3, 5, 8, 24, SQUARE), plane(0, 2, 2, 4), crop(0, 2, 8, 8, SQUARE))
    assert other_way.part == found.part
    np.testing.assert_array_equal((other_way.first, other_way.second), (found.second, found.first))


def test_mirrored_input_is_compared_where_the_pixels_are() -> None:
    mirrored = Geometry((8, 8), (8, 8), ((-1, 0, 8), (0, 1, 0)))
    cam = np.arange(64.0).reshape(8, 8)
    found = align(cam, Geometry.identity((8, 8)), cam[:, ::-1], mirrored)
    np.testing.assert_allclose(found.first, cam)
    np.testing.assert_allclose(found.second, cam)


def test_cells_are_as_small_as_the_smaller_ones() -> None:
    # Over a common part of 4 x 8 pixels, with cells of 4 and of 2 pixels.
    found = align(np.ones((2, 2)), crop(0, 0, 8, 8), np.ones((4, 4)), crop(4, 0, 8, 8))
    assert found.first.shape == found.second.shape == (4, 2)
    assert found.first == pytest.approx(np.ones((4, 2)))
    found = align(np.ones((4, 4)), crop(0, 0, 8, 8), np.ones((2, 2)), crop(4, 0, 8, 8))
    assert found.first.shape == found.second.shape == (4, 2)
    # Four cells of 2 pixels, and four of one over half as much.
    wide, narrow = (np.ones((4, 4)), crop(0, 0, 8, 8)), (np.ones((4, 4)), crop(2, 2, 4, 8))
    assert align(*wide, *narrow).first.shape == align(*narrow, *wide).first.shape == (4, 4)


def test_inputs_a_tenth_of_a_cell_apart_show_the_same() -> None:
    # Of the finer map's cells, which are 2 pixels wide.
    for left, is_same in ((0.19, True), (0.21, False)):
        found = align(np.ones((2, 2)), crop(0, 0, 8, 8), np.ones((4, 4)), crop(left, 0, 8, 8))
        assert (found.part is None) is is_same


@pytest.mark.parametrize(
    ("left", "top", "words"), [(8, 0, r"\(8, 0, 16, 8\)"), (0, 8, r"\(0, 8, 8, 16\)"), (8, 8, r"\(8, 8, 16, 16\)")]
)
def test_views_without_a_common_part_are_an_error(left: int, top: int, words: str) -> None:
    one, other = crop(0, 0, 8, 8, SQUARE), crop(left, top, 8, 8, SQUARE)
    with pytest.raises(ImageError, match=rf"no common part of the image: \(0, 0, 8, 8\) and {words}"):
        align(np.ones((2, 2)), one, np.ones((2, 2)), other)


def test_map_that_is_zero_where_both_models_saw_the_image_is_an_error() -> None:
    left = np.zeros((8, 8))
    left[:, 0] = 1
    with pytest.raises(EmptyMapError, match=r"the first map is zero in all of \(4, 0, 8, 8\)"):
        align(left, crop(0, 0, 8, 8), np.ones((8, 8)), crop(4, 0, 8, 8))
