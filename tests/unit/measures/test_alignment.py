"""Two maps of one image: what both models saw of it is compared, pixel on pixel."""

import numpy as np
import pytest

from pytest_cam.errors import EmptyMapError, ImageError
from pytest_cam.images.geometry import Geometry
from pytest_cam.measures.alignment import align


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


def test_views_without_a_common_part_are_an_error() -> None:
    with pytest.raises(ImageError, match=r"no common part of the image: \(0, 0, 8, 8\) and \(8, 0, 16, 8\)"):
        align(np.ones((2, 2)), crop(0, 0, 8, 8), np.ones((2, 2)), crop(8, 0, 8, 8))


def test_map_that_is_zero_where_both_models_saw_the_image_is_an_error() -> None:
    left = np.zeros((8, 8))
    left[:, 0] = 1
    with pytest.raises(EmptyMapError, match=r"the first map is zero in all of \(4, 0, 8, 8\)"):
        align(left, crop(0, 0, 8, 8), np.ones((8, 8)), crop(4, 0, 8, 8))
