"""What a user may pass where a region is taken."""

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from pytest_cam import Box, Polygon
from pytest_cam.errors import RegionError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import as_region, require_visible

TWO = [[1, 2, 3, 4], [5, 6, 7, 8]]
BOTH = Box(1, 2, 3, 4) | Box(5, 6, 7, 8)


@pytest.mark.parametrize(
    "boxes",
    [
        TWO,
        tuple(map(tuple, TWO)),
        np.array(TWO),
        torch.tensor(TWO),
        [np.array(TWO[0]), torch.tensor(TWO[1])],
        [Box(*TWO[0]), TWO[1]],
    ],
    ids=["lists", "tuples", "array", "tensor", "arrays", "mixed"],
)
def test_several_boxes_are_their_union(boxes) -> None:
    assert as_region(boxes) == BOTH


def test_four_boxes_are_not_four_numbers() -> None:
    boxes = [(n, 0, n + 1, 1) for n in range(4)]
    assert as_region(boxes) == as_region(np.array(boxes)) == Box(0, 0, 1, 1) | [(n, 0, n + 1, 1) for n in (1, 2, 3)]
    assert as_region([torch.tensor(value) for value in (1, 2, 3, 4)]) == Box(1, 2, 3, 4)


def test_one_box_in_a_list_is_a_box() -> None:
    assert as_region([(1, 2, 3, 4)]) == as_region(np.array([[1, 2, 3, 4]])) == Box(1, 2, 3, 4)


def test_regions_of_several_kinds() -> None:
    triangle = Polygon([(0, 0), (4, 0), (0, 4)])
    assert as_region([triangle, (5, 6, 7, 8)]) == triangle | Box(5, 6, 7, 8)


@pytest.mark.parametrize(
    ("box_format", "rows"),
    [("XYXY", TWO), ("XYWH", [[1, 2, 2, 2], [5, 6, 2, 2]]), ("CXCYWH", [[2, 3, 2, 2], [6, 7, 2, 2]])],
)
def test_torchvision_boxes_of_every_upright_format(box_format: str, rows: list[list[int]]) -> None:
    boxes = tv_tensors.BoundingBoxes(rows, format=box_format, canvas_size=(10, 20))
    region = as_region(boxes)
    assert region == BOTH
    assert require_visible(region, Geometry.identity((20, 10))) == 1
    with pytest.raises(RegionError, match=r"made for an image of 20 x 10 pixels, and this one has 10 x 20"):
        require_visible(region, Geometry.identity((10, 20)))
    assert as_region(tv_tensors.BoundingBoxes(rows[:1], format=box_format, canvas_size=(10, 20))) == Box(1, 2, 3, 4)


@pytest.mark.skipif(not hasattr(tv_tensors.BoundingBoxFormat, "XYWHR"), reason="torchvision without turned boxes")
def test_turned_torchvision_boxes_are_an_error() -> None:
    boxes = tv_tensors.BoundingBoxes([[1.0, 2, 3, 4, 30]], format="XYWHR", canvas_size=(10, 20))
    with pytest.raises(RegionError, match=r"format XYWHR.*accepted: XYXY, XYWH, CXCYWH.*Polygon\(corners\)"):
        as_region(boxes)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], ["[]", "no box at all", "Box(x1, y1, x2, y2)"]),
        ((), ["no box at all"]),
        (np.zeros((0, 4)), ["no box at all"]),
        (tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=(4, 4)), ["no box at all"]),
        (np.zeros((5, 7), bool), ["shape (5, 7)", "bool", "Mask(array)"]),
        (np.zeros((5, 4), bool), ["shape (5, 4)", "Mask(array)"]),
        (torch.zeros(2, 3, 4), ["shape (2, 3, 4)", "four numbers"]),
        (np.zeros(3), ["shape (3,)"]),
        ([(1, 2, 3, 4), (5, 6, 7)], ["number 1", "(5, 6, 7)", "four numbers"]),
        ([(1, 2, 3, 4), (5, 6, 5, 8)], ["number 1", "is empty"]),
        ([(1, 2, 3, 4), 5], ["number 1 is 5", "four numbers"]),
        ({"size": [1, 1], "counts": [1]}, ["'size'", "Mask(rle)"]),
        ({"bbox": [1, 2, 3, 4]}, ["'bbox'", "Box.xywh(*bbox)"]),
        (np.zeros((5, 2)), ["shape (5, 2)", "Polygon(array)"]),
        ([(1, 2), (8, 2), (8, 9), (1, 9)], ["number 0: region is (1, 2)", "corners of Polygon(points)"]),
        ("mask.png", ["'mask.png'", "Mask(path)"]),
        ("layer3", ["'layer3'", "A layer goes to layer="]),
        (torch.nn.Conv2d(3, 4, 1), ["Conv2d", "A layer goes to layer="]),
        ([[0, 0, 4, 0, 0, 4]], ["number 0", "COCO", "Polygon(numpy.reshape(numbers, (-1, 2)))"]),
        (7, ["region is 7", "Polygon(points)"]),
    ],
)
def test_what_is_no_region_is_named(value: object, words: list[str]) -> None:
    with pytest.raises(RegionError) as raised:
        as_region(value)
    for word in words:
        assert word in str(raised.value)


# 400 x 200 through Resize(224) and CenterCrop(224), 224 / 200 at each side: x from 100 to 300 is seen.
CROP = Geometry((400, 200), (224, 224), ((1.12, 0.0, -112.0), (0.0, 1.12, 0.0)))


@pytest.mark.parametrize("fit", [-1e-4, 0.0, 1e-4])
def test_half_of_a_region_is_enough_whatever_the_fit_is_off_by(fit: float) -> None:
    found = Geometry(CROP.image_size, CROP.input_size, ((1.12, 0.0, -112.0 + 112 * fit), (0.0, 1.12, 0.0)))
    assert require_visible(Box(50, 20, 150, 80), found) == pytest.approx(0.5, abs=1e-3)


def test_less_than_half_of_a_region_is_said_to_be_less() -> None:
    with pytest.raises(RegionError, match=r"only 49\.8% of box \(49\.6, 20, 150, 80\) lies inside the crop"):
        require_visible(Box(49.6, 20, 150, 80), CROP)
    with pytest.raises(RegionError, match=r"only 25% of box"):
        require_visible(Box(70, 20, 110, 80), CROP)
