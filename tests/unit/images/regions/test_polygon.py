"""Polygons, with areas that can be checked by hand."""

import numpy as np
import pytest
import torch

from pytest_cam import Box, Polygon
from pytest_cam.errors import RegionError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import as_region, require_visible

SQUARE = Geometry.identity((4, 4))
TRIANGLE = Polygon([(0, 0), (4, 0), (0, 4)])


def test_slanted_edge_covers_half_of_the_pixels_on_the_diagonal() -> None:
    assert TRIANGLE.coverage(SQUARE).tolist() == [[1, 1, 1, 0.5], [1, 1, 0.5, 0], [1, 0.5, 0, 0], [0.5, 0, 0, 0]]


@pytest.mark.parametrize("beside", [[], [Box(0, 0, 1, 1)]], ids=["alone", "in a union"])
def test_slanted_edge_is_as_fine_where_the_polygon_is_large(beside: list[Box]) -> None:
    region = as_region([Polygon([(0, 0), (64, 0), (0, 64)]), *beside])
    coverage = region.coverage(Geometry.identity((64, 64)))
    assert np.diag(coverage[:, ::-1]).tolist() == [0.5] * 64


def test_quarter_of_a_pixel_is_a_quarter() -> None:
    assert Polygon([(1, 1), (1.5, 1), (1.5, 1.5), (1, 1.5)]).coverage(SQUARE)[1].tolist() == [0, 0.25, 0, 0]


def test_corner_between_upright_edges_is_exact_inside_a_pixel() -> None:
    corner = Polygon([(0, 0), (4, 0), (4, 1.3), (1.7, 1.3), (1.7, 4), (0, 4)])
    boxes = Box(0, 0, 4, 1.3) | Box(0, 0, 1.7, 4)
    np.testing.assert_allclose(corner.coverage(SQUARE), boxes.coverage(SQUARE), atol=1e-9)


def test_flat_edge_is_right_to_a_hundredth_of_its_pixels() -> None:
    slope = Polygon([(0, 0), (4, 1), (4, 4), (0, 4)])
    np.testing.assert_allclose(slope.coverage(SQUARE)[0], [7 / 8, 5 / 8, 3 / 8, 1 / 8], atol=0.07)
    assert slope.coverage(SQUARE).sum() == pytest.approx(14, abs=0.05)


@pytest.mark.parametrize(
    "geometry",
    [
        SQUARE,
        Geometry((8, 6), (4, 4), ((0.5, 0, 0), (0, 2 / 3, 0))),
        Geometry((4, 4), (4, 4), ((-1, 0, 4), (0, 1, 0))),
        Geometry((6, 4), (4, 6), ((0, -1, 4), (1, 0, 0))),
        Geometry((8, 8), (4, 4), ((1, 0, -2), (0, 1, -1.5))),
        Geometry((4, 4), (8, 6), ((1, 0, 2), (0, 1, 1))),
    ],
    ids=["same", "squashed", "mirrored", "turned", "cropped", "padded"],
)
def test_upright_rectangle_is_the_box_exactly(geometry: Geometry) -> None:
    rectangle = Polygon([(0.3, 0.5), (3.7, 0.5), (3.7, 3.1), (0.3, 3.1)])
    box = Box(0.3, 0.5, 3.7, 3.1)
    np.testing.assert_allclose(rectangle.coverage(geometry), box.coverage(geometry), atol=1e-8)
    assert rectangle.visible_share(geometry) == pytest.approx(box.visible_share(geometry))


def test_polygon_follows_flip_crop_and_quarter_turn() -> None:
    upright = TRIANGLE.coverage(SQUARE)
    mirrored = Geometry((4, 4), (4, 4), ((-1, 0, 4), (0, 1, 0)))
    np.testing.assert_array_equal(TRIANGLE.coverage(mirrored), upright[:, ::-1])
    turned = Geometry((4, 4), (4, 4), ((0, -1, 4), (1, 0, 0)))
    np.testing.assert_array_equal(TRIANGLE.coverage(turned), np.rot90(upright, -1))
    cropped = Geometry((4, 4), (2, 4), ((1, 0, -2), (0, 1, 0)))
    np.testing.assert_array_equal(TRIANGLE.coverage(cropped), upright[:, 2:])


def test_share_that_the_model_saw_is_by_area() -> None:
    left_half = Geometry((4, 4), (2, 4), ((1, 0, 0), (0, 1, 0)))
    assert require_visible(TRIANGLE, left_half) == pytest.approx(6 / 8, abs=0.005)
    right_half = Geometry((4, 4), (2, 4), ((1, 0, -2), (0, 1, 0)))
    with pytest.raises(
        RegionError, match=r"only 25% of polygon of 3 points in \(0, 0, 4, 4\) lies inside the crop that the model saw"
    ):
        require_visible(TRIANGLE, right_half)
    with pytest.raises(RegionError, match=r"polygon of 3 points in \(0, 0, 1, 1\) lies wholly outside the crop"):
        require_visible(Polygon([(0, 0), (1, 0), (0, 1)]), right_half)


def test_polygon_that_crosses_itself_is_filled_even_odd() -> None:
    hourglass = Polygon([(0, 0), (4, 0), (0, 4), (4, 4)])
    assert hourglass.coverage(SQUARE).tolist() == [
        [0.5, 1, 1, 0.5],
        [0, 0.5, 0.5, 0],
        [0, 0.5, 0.5, 0],
        [0.5, 1, 1, 0.5],
    ]
    twice_around = Polygon([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (1, 1), (3, 1), (3, 3), (1, 3), (1, 1)])
    assert twice_around.coverage(SQUARE)[1:3, 1:3].sum() == 0


def test_polygon_smaller_than_a_sample_of_the_input_has_its_area() -> None:
    coarse = Geometry((400, 400), (4, 4), ((0.01, 0, 0), (0, 0.01, 0)))
    small = Polygon([(31, 31), (35, 31), (31, 35)])
    assert small.coverage(coarse).sum() == pytest.approx(8e-4, rel=0.05)


def test_last_point_may_be_the_first_again() -> None:
    closed = Polygon([*TRIANGLE.points, (0, 0)])
    np.testing.assert_array_equal(closed.coverage(SQUARE), TRIANGLE.coverage(SQUARE))


@pytest.mark.parametrize("form", [list, np.array, torch.tensor])
def test_points_in_any_form(form) -> None:
    assert Polygon(form([[0, 0], [4, 0], [0, 4]])) == TRIANGLE


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([], ["has 0 points", "at least three (x, y) points"]),
        ([(0, 0)], ["has 1 point;"]),
        ([(0, 0), (4, 4)], ["has 2 points", "at least three", "Box(x1, y1, x2, y2)"]),
        ([(0, 0), (2, 2), (4, 4)], ["no area", "on one line"]),
        ([(1, 0), (2, 1), (4, 3)], ["no area", "on one line"]),
        ([(1, 1), (1, 1), (1, 1)], ["no area"]),
        ([(0, 0), (4, 0), (0, float("nan"))], ["point 2", "(0.0, nan)", "finite"]),
        ([(0, 0), (4, 0), (float("inf"), 4)], ["point 2", "(inf, 4.0)", "finite"]),
        ([0, 0, 4, 0, 0, 4], ["6 numbers in a row", "COCO", "numpy.reshape"]),
        ([[0, 0, 4, 0, 0, 4]], ["one list of 6 numbers", "for numbers in segmentation"]),
        ([(0, 0, 1), (4, 0, 1), (0, 4, 1)], ["shape (3, 3)", "(N, 2)"]),
        ([(0, 0), (4,), (0, 4)], ["[(0, 0), (4,), (0, 4)]", "at least three"]),
        ("triangle", ["'triangle'", "at least three"]),
        (None, ["polygon", "at least three"]),
    ],
)
def test_malformed_polygon_is_named(points: object, words: list[str]) -> None:
    with pytest.raises(RegionError) as raised:
        Polygon(points)  # type: ignore[arg-type]
    for word in words:
        assert word in str(raised.value)


def test_polygon_outside_the_image_is_an_error() -> None:
    with pytest.raises(
        RegionError, match=r"polygon of 3 points in \(0, 0, 9, 4\) lies outside the image.*Polygons are"
    ):
        require_visible(Polygon([(0, 0), (9, 0), (0, 4)]), SQUARE)
    assert require_visible(Polygon([(0, 0), (4.9, 0), (0, 4)]), SQUARE) == 1


def test_polygon_that_runs_back_on_itself_is_empty_when_it_is_measured() -> None:
    there_and_back = Polygon([(0, 0), (2, 0), (2, 2), (2, 0)])
    with pytest.raises(RegionError, match=r"polygon of 4 points .* is empty"):
        require_visible(there_and_back, SQUARE)
