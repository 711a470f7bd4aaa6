"""Unions, intersections, complements and widening, by the laws that they keep."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cam import Box, Mask, Polygon, Region
from pytest_cam.errors import RegionError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import require_visible
from pytest_cam.images.regions.combinations import Union
from pytest_cam.images.regions.raster import Raster

SIZE = (12, 9)
IMAGE = Geometry.identity(SIZE)
WHOLE = Box(0, 0, *SIZE)


def as_mask(corners: tuple[int, int, int, int]) -> Mask:
    x1, y1, x2, y2 = corners
    array = np.zeros(SIZE[::-1], dtype=bool)
    array[y1:y2, x1:x2] = True
    return Mask(array)


def as_polygon(corners: tuple[int, int, int, int]) -> Polygon:
    x1, y1, x2, y2 = corners
    return Polygon([(x1, y1), (x2, y1), (x1, y2)])


@st.composite
def regions(draw: st.DrawFn) -> Region:
    x1, y1 = draw(st.integers(0, SIZE[0] - 1)), draw(st.integers(0, SIZE[1] - 1))
    corners = x1, y1, draw(st.integers(x1 + 1, SIZE[0])), draw(st.integers(y1 + 1, SIZE[1]))
    return draw(st.sampled_from([lambda c: Box(*c), as_mask, as_polygon]))(corners)


GEOMETRIES = st.sampled_from(
    [
        IMAGE,
        Geometry(SIZE, (7, 5), ((7 / 12, 0, 0), (0, 5 / 9, 0))),
        Geometry(SIZE, (6, 6), ((1, 0, -3.5), (0, 1, -1))),
        Geometry(SIZE, (9, 12), ((0, -1, 9), (1, 0, 0))),
        Geometry(SIZE, (16, 16), ((-1, 0, 14), (0, 1, 3))),
    ]
)


@given(a=regions(), b=regions(), geometry=GEOMETRIES)
def test_union_and_intersection_add_up_to_the_parts(a: Region, b: Region, geometry: Geometry) -> None:
    # Samples of a slanted edge lie elsewhere beside other edges.
    tolerance = 0.15 if isinstance(a, Polygon) or isinstance(b, Polygon) else 1e-8
    together = (a | b).coverage(geometry) + (a & b).coverage(geometry)
    np.testing.assert_allclose(together, a.coverage(geometry) + b.coverage(geometry), atol=tolerance)


@given(region=regions(), geometry=GEOMETRIES)
def test_complement_is_the_rest_of_the_image(region: Region, geometry: Geometry) -> None:
    rest = WHOLE.coverage(geometry) - region.coverage(geometry)
    np.testing.assert_allclose((~region).coverage(geometry), rest, atol=1e-8)
    np.testing.assert_allclose((~~region).coverage(geometry), region.coverage(geometry), atol=1e-8)


@given(a=regions(), b=regions(), geometry=GEOMETRIES)
def test_complement_of_a_union_is_the_intersection_of_complements(a: Region, b: Region, geometry: Geometry) -> None:
    np.testing.assert_allclose((~(a | b)).coverage(geometry), (~a & ~b).coverage(geometry), atol=1e-8)


@given(region=regions(), geometry=GEOMETRIES, cells=st.floats(0, 3), more=st.floats(0, 2))
def test_dilating_only_adds(region: Region, geometry: Geometry, cells: float, more: float) -> None:
    narrow, wide = (region.dilate(by).resolved((2.0, 1.5), SIZE).coverage(geometry) for by in (cells, cells + more))
    tolerance = 0.3 if isinstance(region, Polygon) else 1e-8
    assert (region.coverage(geometry) <= narrow + tolerance).all()
    assert (narrow <= wide + tolerance).all()
    if not isinstance(region, Polygon):
        assert narrow.sum() <= wide.sum() + 1e-8


@given(region=regions(), geometry=GEOMETRIES, dx=st.floats(0.1, 5), dy=st.floats(0.1, 5))
def test_box_and_its_mask_are_widened_alike(region: Region, geometry: Geometry, dx: float, dy: float) -> None:
    mask = as_mask((3, 2, 7, 6)).widened(dx, dy, SIZE).coverage(geometry)
    np.testing.assert_allclose(mask, Box(3, 2, 7, 6).widened(dx, dy, SIZE).coverage(geometry), atol=1e-8)


def test_two_boxes_are_both_of_them_and_what_is_not_between() -> None:
    both = Box(0, 0, 2, 1) | Box(1, 0, 3, 2)
    assert both.coverage(Geometry.identity((4, 2))).tolist() == [[1, 1, 1, 0], [0, 1, 1, 0]]
    assert (Box(0, 0, 2, 1) & (1, 0, 3, 2)).coverage(Geometry.identity((4, 2))).tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]
    assert (both | [(3, 1, 4, 2)]).coverage(Geometry.identity((4, 2))).tolist() == [[1, 1, 1, 0], [0, 1, 1, 1]]


@pytest.mark.parametrize("kind", [Box, Polygon])
def test_parts_of_a_union_are_looked_for_where_they_are(kind: type[Region], monkeypatch: pytest.MonkeyPatch) -> None:
    cells: list[int] = []
    contains = kind.contains
    monkeypatch.setattr(
        kind, "contains", lambda self, xs, ys: cells.append(len(xs) * len(ys)) or contains(self, xs, ys)
    )
    starts = [(x + 0.1, y + 0.1) for x in range(10) for y in range(10)]
    union = Union(
        tuple(
            Box(x, y, x + 0.8, y + 0.8) if kind is Box else Polygon([(x, y), (x + 0.8, y), (x, y + 0.8)])
            for x, y in starts
        )
    )

    coverage = union.coverage(Geometry.identity((10, 10)))

    assert coverage == pytest.approx(0.64 if kind is Box else 0.32, abs=0.05)
    assert len(cells) == 100
    assert sum(cells) < Raster.of(union, Geometry.identity((10, 10))).inside.size


def test_widened_triangle_reaches_a_cell_further() -> None:
    # Widened by a square of 1 to each side, the slanted edge moves by 1 along both axes: x + y < 4 becomes x + y < 6.
    triangle = Polygon([(0, 0), (4, 0), (0, 4)]).dilate().resolved((1.0, 1.0), (8, 8))
    expected = Polygon([(0, 0), (5, 0), (5, 1), (1, 5), (0, 5)]).coverage(Geometry.identity((8, 8)))
    np.testing.assert_allclose(triangle.coverage(Geometry.identity((8, 8))), expected, atol=0.15)


def test_dilated_region_inside_others_is_resolved() -> None:
    ring = Box(4, 4, 6, 6).dilate(2) & ~Box(4, 4, 6, 6).dilate()
    resolved = ring.resolved((1.0, 0.5), SIZE)
    expected = Box(2, 3, 8, 7).coverage(IMAGE) - Box(3, 3.5, 7, 6.5).coverage(IMAGE)
    np.testing.assert_allclose(resolved.coverage(IMAGE), expected, atol=1e-8)


def test_dilated_region_can_be_dilated_again() -> None:
    assert Box(4, 4, 6, 6).dilate().dilate(2).resolved((1.0, 0.5), SIZE) == Box(1, 2.5, 9, 7.5)


def test_padding_belongs_to_no_region() -> None:
    padded = Geometry((2, 2), (4, 4), ((1, 0, 1), (0, 1, 1)))
    assert (~Box(0, 0, 1, 2)).coverage(padded).tolist() == [[0] * 4, [0, 0, 1, 0], [0, 0, 1, 0], [0] * 4]


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (Box(0, 0, 2, 2) & Box(4, 4, 6, 6), r"region \(0, 0, 2, 2\) & \(4, 4, 6, 6\) is empty"),
        (~WHOLE, r"region ~\(0, 0, 12, 9\) is empty"),
        ((Box(0, 0, 2, 2) & Box(4, 4, 6, 6)).dilate(), "is empty"),
        (Box(0, 0, 2, 2) | Box(0, 0, 20, 2), r"box \(0, 0, 20, 2\) lies outside the image"),
        (~Mask(np.ones((2, 2), bool)), "mask is 2 x 2 pixels, and the image is 12 x 9"),
    ],
)
def test_region_that_cannot_be_measured_is_named(region: Region, words: str) -> None:
    with pytest.raises(RegionError, match=words):
        require_visible(region.resolved((1.0, 1.0), SIZE), IMAGE)


def test_region_outside_the_image_is_an_error_however_far_it_is_dilated() -> None:
    with pytest.raises(RegionError, match=r"box \(0, 0, 20, 2\) lies outside the image"):
        Box(0, 0, 20, 2).dilate(3).resolved((1.0, 1.0), SIZE)


def test_crop_may_take_most_of_what_is_around_a_box_but_not_all() -> None:
    cropped = Geometry(SIZE, (4, 4), ((1, 0, -4), (0, 1, -4)))
    around = ~Box(5, 5, 7, 7)
    assert require_visible(around, cropped) == pytest.approx(12 / 104)
    assert require_visible(around & ~Box(0, 0, 1, 1), cropped) == pytest.approx(12 / 103)
    # Widened by half a cell it leaves out the one pixel in the middle: 15 of 107 are seen.
    widened = around.dilate(0.5).resolved((1.0, 1.0), SIZE)
    assert require_visible(widened, cropped) == pytest.approx(15 / 107)
    with pytest.raises(RegionError, match=r"region ~\(4, 4, 8, 8\) lies wholly outside the crop"):
        require_visible(~Box(4, 4, 8, 8), cropped)
    with pytest.raises(RegionError, match="only 10% of region"):
        require_visible(around & Box(0, 0, 12, 7), cropped)


@pytest.mark.parametrize("cells", [np.int64(2), np.float32(2)])
def test_number_of_cells_may_be_one_of_numpys(cells: Any) -> None:
    assert json.dumps(Box(0, 0, 1, 1).dilate(cells).to_json()["cells"]) in ("2", "2.0")


@pytest.mark.parametrize("cells", [-1, float("nan"), float("inf"), "1", None, True])
def test_number_of_cells_is_checked(cells: object) -> None:
    with pytest.raises(RegionError, match=r"dilate\(cells=.*accepted: a number of the map's cells, 0 or more"):
        Box(0, 0, 1, 1).dilate(cells)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("region", "text"),
    [
        (Box(0, 0, 1, 1) | (2, 2, 3, 3) | (4, 4, 5, 5), "(0, 0, 1, 1) | (2, 2, 3, 3) | (4, 4, 5, 5)"),
        (Box(0, 0, 3, 3) & ~Box(1, 1, 2, 2), "(0, 0, 3, 3) & ~(1, 1, 2, 2)"),
        (~(Box(0, 0, 1, 1) | (2, 2, 3, 3)), "~((0, 0, 1, 1) | (2, 2, 3, 3))"),
        (Box(0, 0, 1, 1).dilate(), "(0, 0, 1, 1) widened by 1 cell"),
        (as_mask((0, 0, 2, 2)).dilate(1.5), "mask of 4 pixels in (0, 0, 2, 2) widened by 1.5 cells"),
        (as_mask((0, 0, 2, 2)).widened(3, 2, SIZE), "mask of 4 pixels in (0, 0, 2, 2) widened by 3 x 2 px"),
        (Box(0, 0, 1, 1) | [(n, 0, n + 1, 1) for n in range(4)], "union of 5 regions"),
    ],
)
def test_text_is_what_the_user_wrote(region: Region, text: str) -> None:
    assert str(region) == text


def test_kind_is_that_of_what_is_widened() -> None:
    assert Box(0, 0, 1, 1).dilate().kind == "box"
    assert as_mask((0, 0, 1, 1)).widened(1, 1, SIZE).kind == "mask"
    assert (Box(0, 0, 1, 1) | Box(2, 2, 3, 3)).kind == (~Box(0, 0, 1, 1)).kind == "region"


def test_numbers_for_an_artifact_are_plain() -> None:
    box = {"kind": "box", "outlines": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}
    mask = {"kind": "mask", "size": [9, 12], "counts": [0, 1, 107]}
    one = Box(0, 0, 1, 1)
    triangle = {"kind": "polygon", "outlines": [[[0, 0], [2, 0], [0, 3]]]}
    assert Polygon([(0, 0), (2, 0), (0, 3)]).to_json() == triangle
    assert (one | as_mask((0, 0, 1, 1))).to_json() == {"kind": "union", "parts": [box, mask]}
    assert (one & ~one).to_json() == {"kind": "intersection", "parts": [box, {"kind": "complement", "of": box}]}
    assert one.dilate(2).to_json() == {"kind": "dilated", "cells": 2, "of": box}
    assert as_mask((0, 0, 1, 1)).widened(2, 3, SIZE).to_json() == {"kind": "widened", "by": [2, 3], "of": mask}
