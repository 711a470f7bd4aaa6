"""The metrics, on maps small enough to do by hand, and against torch's own upsampling."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_cam.errors import MetricError
from pytest_cam.images.regions.touched import TouchedPixels, TouchedRectangle
from pytest_cam.measures.extent import iou, rank
from pytest_cam.measures.localization import (
    METRICS,
    GridRegion,
    energy,
    lift,
    metric_named,
    pointing,
    resampling,
    skill,
    upsample,
)

# A map is float32: its least values are far above those that vanish in a product of float64.
VALUES = st.just(0.0) | st.floats(float(np.finfo(np.float32).tiny), 10)
MAPS = arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=VALUES).filter(np.any)


def region(grid: tuple[int, int], size: tuple[int, int], box: tuple[int, int, int, int]) -> GridRegion:
    coverage = np.zeros(size)
    x1, y1, x2, y2 = box
    coverage[y1:y2, x1:x2] = 1
    return GridRegion.of(coverage, grid)


def interpolated(cam: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    tensor = torch.from_numpy(cam)[None, None]
    return torch.nn.functional.interpolate(tensor, size=size, mode="bilinear", align_corners=False)[0, 0].numpy()


def test_upsampling_by_hand() -> None:
    # Two cells on four pixels: the cells' centres are at 1 and 3, the pixels' at 0.5, 1.5, 2.5 and 3.5.
    assert resampling(2, 4).tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]


@given(MAPS, st.integers(0, 19), st.integers(0, 19))
def test_upsampling_equals_torch(cam: np.ndarray, more_rows: int, more_columns: int) -> None:
    size = cam.shape[0] + more_rows, cam.shape[1] + more_columns
    np.testing.assert_allclose(upsample(cam, size), interpolated(cam, size), atol=1e-9)


def test_pixel_over_several_cells_is_their_mean_by_hand() -> None:
    # Over 4 cells each of 2 pixels lies over two whole ones, over 3 over one and a half.
    assert resampling(4, 2).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    assert resampling(3, 2).tolist() == [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]]


@given(st.integers(1, 40), st.integers(1, 40))
def test_each_cell_reaches_some_pixel_and_each_pixel_is_a_mean(cells: int, pixels: int) -> None:
    matrix = resampling(cells, pixels)
    assert (matrix >= 0).all()
    assert matrix.sum(axis=1) == pytest.approx(1)
    assert (matrix.sum(axis=0) > 0).all()


def test_no_cell_of_a_map_finer_than_the_input_is_lost() -> None:
    # 4 x 4 cells in each pixel: one of those in the region, and one elsewhere.
    cam = np.zeros((112, 112))
    cam[40, 40], cam[80, 80] = 1.0, 1.0
    assert energy(cam, region((112, 112), (28, 28), (10, 10, 11, 11))) == 0.5


def test_metrics_by_hand_on_one_cell_a_pixel() -> None:
    # Without upsampling the ceiling is 1: E = (3 + 1) / 8, chance = 2 / 4.
    cam = np.array([[3.0, 2.0], [1.0, 2.0]])
    left = region((2, 2), (2, 2), (0, 0, 1, 2))
    assert (left.chance, left.ceiling, left.floor) == (0.5, 1.0, 0.0)
    assert energy(cam, left) == 0.5
    assert skill(cam, left) == 0.0
    assert lift(cam, left) == 1.0


def test_what_is_kept_for_later_maps_cannot_be_written_to() -> None:
    for kept in (resampling(2, 4), resampling(4, 2), region((2, 2), (4, 4), (0, 0, 1, 1)).weight):
        with pytest.raises(ValueError, match="read-only"):
            kept[0, 0] = 7.0


def test_ceiling_by_hand() -> None:
    # One row of two cells on four pixels; the region is the first pixel. U^T 1 = (2, 2), U^T m = (1, 0).
    first = region((1, 2), (1, 4), (0, 0, 1, 1))
    assert first.weight.tolist() == [[2, 2]]
    assert first.share.tolist() == [[0.5, 0]]
    assert (first.chance, first.ceiling) == (0.25, 0.5)
    # All mass in the first cell: the ceiling is reached, so skill is 1 and lift 2.
    assert skill(np.array([[7.0, 0.0]]), first) == 1.0
    assert lift(np.array([[7.0, 0.0]]), first) == 2.0


@pytest.mark.parametrize(("corner", "expected"), [(96, 0.56), (112, 0.25)], ids=["on a cell", "on a corner"])
def test_ceiling_of_a_32_pixel_box_on_a_7_by_7_map(corner: int, expected: float) -> None:
    box = region((7, 7), (224, 224), (corner, corner, corner + 32, corner + 32))
    assert box.ceiling == pytest.approx(expected, abs=0.005)


@given(MAPS, st.data())
def test_energy_equals_that_of_the_upsampled_map(cam: np.ndarray, data: st.DataObject) -> None:
    size = data.draw(st.integers(cam.shape[0], 20)), data.draw(st.integers(cam.shape[1], 20))
    coverage = data.draw(arrays(np.float64, size, elements=st.floats(0, 1)).filter(np.any))
    upsampled = interpolated(cam, size)
    expected = (upsampled * coverage).sum() / upsampled.sum()
    assert energy(cam, GridRegion.of(coverage, cam.shape)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(MAPS, st.data())
def test_no_map_leaves_the_attainable_range(cam: np.ndarray, data: st.DataObject) -> None:
    size = cam.shape[0] * 2, cam.shape[1] * 2
    x1, y1 = data.draw(st.integers(0, size[1] - 1)), data.draw(st.integers(0, size[0] - 1))
    box = region(
        cam.shape, size, (x1, y1, data.draw(st.integers(x1 + 1, size[1])), data.draw(st.integers(y1 + 1, size[0])))
    )
    for metric in METRICS.values():
        if metric.name == "skill" and box.ceiling - box.chance < 1e-6:
            continue
        low, high = metric.attainable(box)
        value = metric.value(cam, box)
        assert np.isnan(value) or low - 1e-9 <= value <= high + 1e-9


def test_iou_by_hand() -> None:
    # Marked from half of 4 on: the pixels 4, 2 and 3. The region has 4 and 1: one of four pixels is in both.
    cam = np.array([[4.0, 2.0], [1.0, 3.0]])
    left = region((2, 2), (2, 2), (0, 0, 1, 2))
    assert iou(cam, left) == pytest.approx(1 / 4)
    assert iou(np.array([[4.0, 1.0], [2.0, 1.0]]), left) == 1.0
    # A map that is the same everywhere marks everything.
    assert iou(np.ones((2, 2)), left) == left.chance


def test_iou_is_of_the_upsampled_map_and_of_pixels_covered_at_least_half() -> None:
    # U (8, 0) on four pixels is 8, 6, 2, 0; marked are the first two.
    cam = np.array([[8.0, 0.0]])
    assert iou(cam, GridRegion.of(np.array([[1.0, 0.5, 0.4, 0.0]]), (1, 2))) == 1.0
    assert iou(cam, GridRegion.of(np.array([[1.0, 0.4, 0.4, 0.0]]), (1, 2))) == 0.5
    assert iou(cam, GridRegion.of(np.array([[0.4, 0.4, 0.0, 0.0]]), (1, 2))) == 0.0


def test_rank_by_hand() -> None:
    cam = np.array([[4.0, 2.0], [1.0, 3.0]])
    # The two highest pixels are 4 and 3; of them the left column has 4, the top row 4, the main diagonal both.
    assert rank(cam, region((2, 2), (2, 2), (0, 0, 1, 2))) == 0.5
    assert rank(cam, region((2, 2), (2, 2), (0, 0, 2, 1))) == 0.5
    assert rank(cam, GridRegion.of(np.eye(2), (2, 2))) == 1.0


def test_rank_shares_ties() -> None:
    # Of the two highest, one is 4, and the other is one of three equal ones, of which the left column has one.
    cam = np.array([[4.0, 1.0], [1.0, 1.0]])
    left = region((2, 2), (2, 2), (0, 0, 1, 2))
    assert rank(cam, left) == pytest.approx((1 + 1 / 3) / 2)
    assert rank(np.ones((2, 2)), left) == left.chance


def test_rank_counts_a_pixel_by_the_part_that_is_covered() -> None:
    # An area of 1.5: all of the highest pixel, which is half covered, and half of the next, which is all covered.
    half = GridRegion.of(np.array([[0.5, 1.0, 0.0]]), (1, 3))
    assert rank(np.array([[3.0, 2.0, 1.0]]), half) == pytest.approx((0.5 + 0.5) / 1.5)


@given(MAPS)
def test_a_map_that_is_one_in_the_region_and_zero_elsewhere_has_iou_and_rank_one(cam: np.ndarray) -> None:
    inside = GridRegion.of((cam > 0).astype(float), cam.shape)
    assert iou((cam > 0).astype(float), inside) == 1.0
    assert rank((cam > 0).astype(float), inside) == pytest.approx(1.0)
    assert METRICS["iou"].attainable(inside)[1] == 1.0
    assert METRICS["rank"].attainable(inside)[1] == pytest.approx(1.0)


@given(MAPS, st.data())
def test_no_iou_or_rank_leaves_the_bounds_whatever_the_region(cam: np.ndarray, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    some = GridRegion.of(data.draw(arrays(np.float64, size, elements=st.floats(0, 1)).filter(np.any)), cam.shape)
    for metric in (METRICS["iou"], METRICS["rank"]):
        low, high = metric.attainable(some)
        assert 0 <= low <= high <= 1 + 1e-9
        assert low - 1e-9 <= metric.value(cam, some) <= high + 1e-9


@given(MAPS, st.sampled_from([0.125, 0.5, 2.0, 4.0]))
def test_iou_and_rank_do_not_depend_on_the_maps_scale(cam: np.ndarray, scale: float) -> None:
    half = region(cam.shape, (cam.shape[0] * 2, cam.shape[1] * 2), (0, 0, cam.shape[1], cam.shape[0] * 2))
    assert iou(cam * scale, half) == iou(cam, half)
    assert rank(cam * scale, half) == rank(cam, half)


@given(MAPS, st.floats(1e-6, 1e6))
def test_metrics_do_not_depend_on_the_maps_scale(cam: np.ndarray, scale: float) -> None:
    half = region(cam.shape, (cam.shape[0] * 2, cam.shape[1] * 2), (0, 0, cam.shape[1], cam.shape[0] * 2))
    assert energy(cam * scale, half) == pytest.approx(energy(cam, half), rel=1e-9)


def test_peak_within_the_tolerance_hits() -> None:
    # 10 x 10 cells of 10 pixels: half a cell is 5, 15 at 500 is 3, so the tolerance is 5 input pixels.
    box = region((10, 10), (100, 100), (20, 20, 40, 40))
    assert box.tolerance == 5
    assert [bool(box.hits[2, column]) for column in range(7)] == [False, True, True, True, True, False, False]
    assert [bool(box.hits[row, 2]) for row in range(7)] == [False, True, True, True, True, False, False]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(4, 40), st.data())
def test_hits_are_the_cells_near_enough_to_a_touched_pixel(h: int, w: int, size: int, data: st.DataObject) -> None:
    coverage = data.draw(
        arrays(np.float64, (size, size), elements=st.sampled_from([0.0, 0.0, 0.0, 0.3])).filter(np.any)
    )
    some = GridRegion.of(coverage, (h, w))
    rows, columns = (coverage > 0).nonzero()
    for row in range(h):
        for column in range(w):
            x, y = some.centre(row, column)
            dx, dy = np.maximum(np.abs([columns + 0.5 - x, rows + 0.5 - y]) - 0.5, 0.0)
            distance = np.hypot(dx, dy).min()
            if abs(distance - some.tolerance) > 1e-9:
                assert some.hits[row, column] == (distance < some.tolerance)


SPANS = st.tuples(st.integers(0, 11), st.integers(0, 11)).map(sorted)


@given(SPANS, SPANS)
def test_a_part_of_the_pixels_says_what_all_do(rows: list[int], columns: list[int]) -> None:
    (top, bottom), (left, right) = rows, columns
    whole = np.zeros((12, 12))
    whole[top : bottom + 1, left : right + 1] = 0.25
    some = GridRegion.of(whole, (3, 4))
    box = TouchedRectangle((top, left), np.full(bottom + 1 - top, 0.5), np.full(right + 1 - left, 0.5))
    for touched in (TouchedPixels.of(whole), box):
        part = GridRegion(touched, (12, 12), (3, 4))
        np.testing.assert_array_equal(touched.shares, whole[top : bottom + 1, left : right + 1])
        np.testing.assert_array_equal(part.coverage, whole)
        np.testing.assert_allclose(part.share, some.share, rtol=1e-12, atol=1e-15)
        assert part.chance == pytest.approx(some.chance)
        assert (part.hits == some.hits).all()


def test_tolerance_grows_with_the_image() -> None:
    assert region((100, 100), (1000, 1000), (0, 0, 1, 1)).tolerance == 30
    # It is that of the longer side, and half of a cell's.
    assert region((100, 100), (200, 1000), (0, 0, 1, 1)).tolerance == 30
    assert region((100, 100), (1000, 200), (0, 0, 1, 1)).tolerance == 30
    assert region((10, 4), (100, 100), (0, 0, 1, 1)).tolerance == 12.5
    assert region((4, 10), (100, 100), (0, 0, 1, 1)).tolerance == 12.5


@pytest.mark.parametrize(("cells", "value"), [(1, 1.0), (4, 1.0), (5, float("nan"))])
def test_peak_shared_by_up_to_a_hundredth_of_the_cells_is_the_first_of_them(cells: int, value: float) -> None:
    cam = np.zeros((20, 20))
    cam.ravel()[21 : 21 + cells] = 1.0  # from the second cell of the second row on
    assert pointing(cam, region((20, 20), (20, 20), (0, 0, 2, 2))) == pytest.approx(value, nan_ok=True)


def test_shared_peak_points_nowhere() -> None:
    box = region((2, 2), (4, 4), (0, 0, 2, 2))
    assert np.isnan(pointing(np.array([[1.0, 1.0], [0.0, 0.0]]), box))
    assert np.isnan(pointing(np.ones((2, 2)), box))
    assert pointing(np.array([[1.0, 0.9], [0.0, 0.0]]), box) == 1.0
    assert pointing(np.array([[0.0, 0.0], [0.0, 1.0]]), box) == 0.0


def test_unknown_metric_is_answered_with_the_nearest() -> None:
    with pytest.raises(MetricError, match=r"'skil'.*Did you mean 'skill'"):
        metric_named("skil")
    with pytest.raises(MetricError, match=r"there is no metric \['skill'\]"):
        metric_named(["skill"])
