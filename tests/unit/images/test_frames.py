"""Boxes in pixels of the input."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from pytest_cam.errors import RegionError
from pytest_cam.images.frames import region_in_image
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import Box, Mask, Polygon

CROP = Geometry((100, 50), (40, 40), ((0.5, 0.0, -5.0), (0.0, 1.0, -5.0)))
MIRRORED = Geometry((40, 20), (40, 20), ((-1.0, 0.0, 40.0), (0.0, 1.0, 0.0)))
# 100 x 50 in the middle of 100 x 100, at half the size.
LETTERBOX = Geometry((100, 50), (50, 50), ((0.5, 0.0, 0.0), (0.0, 0.5, 12.5)))


@pytest.mark.parametrize("value", [(10, 10, 20, 20), Box(10, 10, 20, 20), np.array([10, 10, 20, 20])])
def test_box_in_image_pixels_stays_what_it_is(value: object) -> None:
    assert region_in_image(value, "image", CROP) == Box(10, 10, 20, 20)


@pytest.mark.parametrize(
    ("geometry", "box", "expected"),
    [
        (CROP, (10, 10, 20, 20), (30, 15, 50, 25)),
        (MIRRORED, (0, 0, 10, 20), (30, 0, 40, 20)),
        (LETTERBOX, (10, 12.5, 20, 20), (20, 0, 40, 15)),
        (LETTERBOX, (10, 12, 20, 20), (20, 0, 40, 15)),  # half a pixel into the padding is a rounding
        (CROP, (10, 10, 20, 41), (30, 15, 50, 45)),  # and so is a whole one
        (Geometry.identity((40, 20)), torch.tensor([1, 2, 3, 4]), (1, 2, 3, 4)),
    ],
)
def test_box_in_input_pixels_is_carried_to_the_image(geometry: Geometry, box: object, expected: tuple) -> None:
    assert region_in_image(box, "input", geometry) == Box(*expected)


@pytest.mark.parametrize(
    ("geometry", "box", "words"),
    [
        (
            CROP,
            (10, 10, 20, 42),
            r"\(10, 10, 20, 42\) lies outside the model's input, which is 40 x 40 pixels, by 2",
        ),
        (CROP, (50, 10, 60, 20), "by 20.0. With frame='input' boxes are in its pixels"),
        (LETTERBOX, (0, 0, 20, 20), r"50 x 50 pixels, of which the image fills \(0, 12\.5, 50, 37\.5\), by 12\.5"),
        (CROP, (10, 10, 5, 20), "empty"),
        (CROP, "box", "accepted: Box"),
    ],
)
def test_box_that_is_not_on_the_input_is_named(geometry: Geometry, box: object, words: str) -> None:
    with pytest.raises(RegionError, match=words):
        region_in_image(box, "input", geometry)


@pytest.mark.parametrize("region", [(0.3, 0.3, 0.6, 0.6), Polygon([(0.3, 0.3), (0.6, 0.3), (0.6, 0.6)])])
def test_shares_of_the_inputs_size_are_named(region: object) -> None:
    with pytest.raises(RegionError, match=r"first pixel of the model's input, which is 40 x 40 .*like shares"):
        region_in_image(region, "input", CROP)


def test_other_frames_are_named() -> None:
    with pytest.raises(RegionError, match=r"frame is 'pixels'; accepted: 'image' .* or 'input' "):
        region_in_image((0, 0, 4, 4), "pixels", CROP)  # type: ignore[arg-type]  # what a user may do


def test_polygon_is_carried_like_a_box() -> None:
    box = region_in_image((10, 12, 20, 24), "input", CROP)
    polygon = region_in_image(Polygon([(10, 12), (20, 12), (20, 24), (10, 24)]), "input", CROP)
    np.testing.assert_allclose(polygon.coverage(CROP), box.coverage(CROP), atol=1e-6)


@pytest.mark.parametrize(
    ("region", "named"),
    [
        (Mask(np.ones((4, 4), bool)), r"mask of 16 pixels in \(0, 0, 4, 4\)"),
        (Box(3, 3, 9, 9).dilate(1), r"box \(3, 3, 9, 9\) widened by 1 cell"),
        ([(3, 3, 9, 9), (1, 1, 2, 2)], r"region \(3, 3, 9, 9\) \| \(1, 1, 2, 2\)"),
    ],
    ids=["mask", "dilated box", "boxes"],
)
def test_region_of_another_kind_is_named(region: object, named: str) -> None:
    with pytest.raises(RegionError, match=rf"^{named} cannot be .*; with frame='input' accepted: a box or a polygon$"):
        region_in_image(region, "input", CROP)


@pytest.mark.parametrize(
    "box",
    [
        Box.cxcywh_normalized(0.1, 0.1, 0.1, 0.1, image_size=(400, 200)),
        tv_tensors.BoundingBoxes([[20, 10, 60, 30]], format="XYXY", canvas_size=(200, 400)),
    ],
    ids=["shares", "torchvision"],
)
def test_box_of_another_size_than_the_inputs_is_named(box: object) -> None:
    words = r"box \(20, 10, 60, 30\) was made for an image of 400 x 200 pixels, and the model's input has 40 x 40"
    with pytest.raises(RegionError, match=words):
        region_in_image(box, "input", CROP)


def test_box_of_the_inputs_own_size_is_carried_to_the_image() -> None:
    box = Box.cxcywh_normalized(0.5, 0.5, 0.5, 0.25, image_size=(40, 40))
    assert region_in_image(box, "input", CROP) == Box(30, 20, 70, 30)


def test_polygon_that_is_not_on_the_input_is_named() -> None:
    outside = Polygon([(30, 30), (80, 30), (80, 60)])
    words = (
        r"^polygon of 3 points in \(30, 30, 80, 60\) lies outside the model's input, which is 40 x 40 pixels, by "
        r"40\.0\. With frame='input' polygons are in its pixels$"
    )
    with pytest.raises(RegionError, match=words):
        region_in_image(outside, "input", CROP)


def test_corner_half_a_pixel_into_the_padding_is_a_rounding() -> None:
    corners = [(10, 12), (20, 12), (20, 20), (10, 20)]
    polygon = region_in_image(Polygon(corners), "input", LETTERBOX)
    assert polygon == Polygon([(20, 0), (40, 0), (40, 15), (20, 15)])
