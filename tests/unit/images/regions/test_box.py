"""Boxes, and how much of each input pixel they cover."""

import numpy as np
import pytest
import torch

from pytest_cam import Box, Polygon
from pytest_cam.errors import RegionError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import as_region, require_visible

SQUARE = Geometry.identity((4, 4))


def test_partly_covered_pixels_count_by_area() -> None:
    coverage = Box(0.5, 1, 2.25, 2.5).coverage(SQUARE)
    assert coverage.tolist() == [[0, 0, 0, 0], [0.5, 1, 0.25, 0], [0.25, 0.5, 0.125, 0], [0, 0, 0, 0]]


def test_box_is_half_open() -> None:
    assert Box(0, 0, 1, 1).coverage(SQUARE).sum() == 1
    assert Box(0, 0, 4, 4).coverage(SQUARE).sum() == 16


def test_box_follows_scale_crop_and_flip() -> None:
    halved_and_cropped = Geometry((8, 8), (2, 2), ((0.5, 0, -1), (0, 0.5, -1)))
    assert Box(2, 2, 4, 6).coverage(halved_and_cropped).tolist() == [[1, 0], [1, 0]]
    mirrored = Geometry((4, 4), (4, 4), ((-1, 0, 4), (0, 1, 0)))
    assert Box(0, 0, 1, 4).coverage(mirrored)[0].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("form", [tuple, list, np.array, torch.tensor, lambda box: Box(*box)])
def test_four_numbers_in_any_form_are_a_box(form) -> None:
    assert as_region(form([1, 2, 3, 4])) == Box(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((3, 0, 3, 4), ["(3, 0, 3, 4)", "x2 must exceed x1", "COCO", "Box.xywh("]),
        ((0, 4, 3, 2), ["y2 must exceed y1"]),
        ((0, 0, float("nan"), 4), ["x2 is nan", "finite"]),
        ((0, 0, float("inf"), 4), ["x2 is inf", "finite"]),
        ((0, 0, "a", 4), ["x2 is 'a'", "number"]),
        ((0, 0, 4), ["(0, 0, 4)", "Box(x1, y1, x2, y2)"]),
        ("0123", ["'0123'", "Box(x1, y1, x2, y2)"]),
        (None, ["None"]),
    ],
)
def test_malformed_box_is_named(value: object, words: list[str]) -> None:
    with pytest.raises(RegionError) as raised:
        as_region(value)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("box", [(0, 0, 6, 2), (-2, 0, 2, 2), (0, -2, 2, 2), (0, 9, 2, 12), (0.1, 0.1, 0.5, 5.5)])
def test_box_outside_the_image_is_an_error(box: tuple[float, ...]) -> None:
    with pytest.raises(RegionError, match=r"outside the image, which is 4 x 4 pixels.*not normalised"):
        require_visible(Box(*box), SQUARE)


@pytest.mark.parametrize("region", [Box(0.1, 0.1, 0.6, 0.6), Box(0, 0.5, 1, 1), Polygon([(0, 0), (0.5, 0), (0, 1)])])
def test_coordinates_that_look_like_shares_are_refused(region) -> None:
    geometry = Geometry.identity((64, 48))
    with pytest.raises(RegionError, match=r"within the first pixel .* 64 x 48 pixels.*x up to 64.*cxcywh_normalized"):
        region.visible_share(geometry)
    assert Box(0, 0, 1, 1).visible_share(geometry) == 1  # a pixel
    assert Box(0.1, 0.1, 1.5, 1.5).visible_share(geometry) == 1


def test_rounding_of_an_annotation_tool_is_forgiven() -> None:
    box = Box(0, 0, 4.9, 4)
    assert require_visible(box, SQUARE) == pytest.approx(4 / 4.9)
    assert box.coverage(SQUARE).sum() == 16


def test_box_outside_the_crop_is_an_error() -> None:
    right_half = Geometry((8, 4), (4, 4), ((1, 0, -4), (0, 1, 0)))
    with pytest.raises(RegionError, match=r"\(0, 0, 3, 3\) lies wholly outside the crop.*\(4, 0, 8, 4\)"):
        require_visible(Box(0, 0, 3, 3), right_half)
    with pytest.raises(RegionError, match=r"only 25% of box \(1, 0, 5, 4\) lies inside the crop"):
        require_visible(Box(1, 0, 5, 4), right_half)
    assert require_visible(Box(3, 0, 5, 4), right_half) == 0.5


def test_widened_box_stays_within_the_image() -> None:
    assert Box(1, 1, 2, 2).widened(0.5, 3, (4, 4)) == Box(0.5, 0, 2.5, 4)


@pytest.mark.parametrize(
    "box",
    [
        Box.xyxy(10, 20, 30, 60),
        Box.xywh(10, 20, 20, 40),
        Box.cxcywh_normalized(0.2, 0.8, 0.2, 0.8, image_size=(100, 50)),
        Box.voc(11, 21, 30, 60),
    ],
    ids=["xyxy", "xywh", "cxcywh_normalized", "voc"],
)
def test_annotation_formats_name_the_same_box(box: Box) -> None:
    assert box.corners == pytest.approx((10, 20, 30, 60))


def test_box_of_one_pixel_in_voc_is_one_pixel() -> None:
    assert Box.voc(1, 1, 1, 1) == Box(0, 0, 1, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Box.xywh(1, 1, 0, 4), "width is 0, so the box is empty"),
        (lambda: Box.xywh(1, 1, 4, -2), "height is -2"),
        (lambda: Box.xywh("a", 1, 4, 2), "x is 'a'"),
        (lambda: Box.voc(None, 1, 4, 2), "xmin is None"),
        (lambda: Box.cxcywh_normalized(50, 0.5, 0.1, 0.1, (100, 50)), r"cx is 50; accepted: a share.*Box\.xywh"),
        (lambda: Box.cxcywh_normalized(0.5, 0.5, 0, 0.1, (100, 50)), "w is 0"),
        (lambda: Box.cxcywh_normalized(0.5, 0.5, 0.1, 0.1, 100), r"image_size is 100; accepted: \(width, height\)"),
    ],
)
def test_malformed_annotation_is_named(make, words: str) -> None:
    with pytest.raises(RegionError, match=words):
        make()


def test_box_made_for_another_image_size_is_an_error() -> None:
    box = Box.cxcywh_normalized(0.5, 0.5, 0.5, 0.5, image_size=(4, 4))
    assert require_visible(box, SQUARE) == 1
    with pytest.raises(RegionError, match="made for an image of 4 x 4 pixels, and this one has 8 x 4"):
        require_visible(box, Geometry.identity((8, 4)))
