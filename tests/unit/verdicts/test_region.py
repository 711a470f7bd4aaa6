"""Measuring in regions of every kind, through a preprocess that resizes and crops."""

import numpy as np
import pytest

from pytest_cam import Box, Mask, Polygon, Region
from pytest_cam.errors import VacuousError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions.widening import Widened
from pytest_cam.measures.localization import METRICS, metric_named
from pytest_cam.verdicts.evidence import Measurement
from pytest_cam.verdicts.limits import Limits
from pytest_cam.verdicts.region import measure

# Resize(256) and CenterCrop(224) of a photo of 500 x 375.
SCALE = 256 / 375
PHOTO = Geometry((500, 375), (224, 224), ((SCALE, 0, -(500 * SCALE - 224) / 2), (0, SCALE, -16)))
BOX = Box(120, 100, 260, 300)
CAM = np.random.default_rng(0).random((7, 7)).astype(np.float32) ** 3
PIXELS = np.zeros((375, 500), dtype=bool)
PIXELS[100:300, 120:260] = True
SAME = [
    Polygon([(120, 100), (260, 100), (260, 300), (120, 300)]),
    Mask(PIXELS),
    ~~BOX,
    Box(120, 100, 200, 300) | Box(180, 100, 260, 300),
    Box(100, 90, 260, 300) & Box(120, 100, 280, 310),
]


def figures(region: Region, metric: str, *, widen: bool = False) -> tuple[float, ...]:
    found: Measurement = measure(CAM, PHOTO, region, metric_named(metric), widen=widen)
    return found.value, found.energy, found.chance, found.ceiling, *found.peak, found.peak_distance, found.visible_share


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("region", SAME, ids=["polygon", "mask", "complement", "union", "intersection"])
def test_one_rectangle_has_the_same_figures_in_every_kind(region: Region, metric: str) -> None:
    assert figures(region, metric) == pytest.approx(figures(BOX, metric), abs=1e-7)


@pytest.mark.parametrize("region", SAME, ids=["polygon", "mask", "complement", "union", "intersection"])
def test_one_rectangle_is_widened_alike_in_every_kind(region: Region) -> None:
    expected = figures(BOX, "lift", widen=True)
    assert figures(region, "lift", widen=True) == pytest.approx(expected, abs=1e-7)
    # What the user dilates by one cell is what the negative check measures; only the visible share is of the wider one.
    assert figures(region.dilate(), "lift")[:-1] == pytest.approx(expected[:-1], abs=1e-7)


@pytest.mark.parametrize("metric", METRICS)
def test_lower_limit_in_more_than_half_of_the_input_is_vacuous_by_every_metric(metric: str) -> None:
    cam, whole = np.ones((8, 8), dtype=np.float32), Geometry.identity((8, 8))
    with pytest.raises(VacuousError, match="vacuous: the region covers 62% of what the model sees"):
        measure(cam, whole, Box(0, 0, 8, 5), metric_named(metric), Limits(at_least=0.5))


@pytest.mark.parametrize("metric", [name for name in METRICS if name != "skill"])
def test_upper_limit_and_no_limit_may_be_asked_of_more_than_half_of_the_input(metric: str) -> None:
    cam, whole = np.eye(8, dtype=np.float32), Geometry.identity((8, 8))
    limits = Limits(at_most=0.5)
    assert measure(cam, whole, Box(0, 0, 8, 5), metric_named(metric), limits).limits == limits
    measured = measure(cam, whole, Box(0, 0, 8, 5), metric_named(metric))
    assert measured.limits == Limits()
    assert measured.chance == 5 / 8
    assert measured.energy == pytest.approx(5 / 8)
    assert measured.ceiling == 1


# 20 image pixels to an input pixel across, 2.5 up and down; the peak of `FAR` is at (720, 10).
SQUASH = Geometry((1280, 160), (64, 64), ((0.05, 0, 0), (0, 0.4, 0)))
FAR = np.zeros((8, 8), dtype=np.float32)
FAR[0, 4] = 1
RIGHT, BELOW = Box(880, 0, 980, 160), Box(0, 130, 1280, 160)
SET = np.zeros((160, 1280), dtype=bool)
SET[130:, 700:], SET[50:53, 900] = True, True


@pytest.mark.parametrize(
    ("region", "distance"),
    [
        (RIGHT, 160),
        (BELOW, 120),
        (RIGHT | BELOW, 120),
        (Box(710, 5, 730, 15), 0),
        (Box(729, 0, 800, 160), 9),  # less than an input pixel
        (~Box(0, 0, 760, 160), 40),
        (Polygon([(720, 50), (760, 80), (680, 80)]), 40),
        (Polygon([(750, 20), (900, 0), (900, 160)]), 1000**0.5),
        (Polygon([(600, 0), (800, 0), (700, 160)]), 0),
        (Polygon([(680, 10), (720, 50), (680, 50), (680, 50)]), 800**0.5),  # from the middle of its slanted edge
        (Mask(SET), 120),
        (Mask(SET) & Box(800, 0, 1280, 100), (180**2 + 40**2) ** 0.5),
        (Polygon([(700, 100), (740, 100), (720, 140)]).widened(10, 10, (1280, 160)), 80),
    ],
    ids=str,
)
@pytest.mark.parametrize("turned", [False, True])
def test_peak_is_as_far_from_a_region_as_it_is_in_the_image(region: Region, distance: float, turned: bool) -> None:
    (scale_x, _, _), (_, scale_y, _) = SQUASH.matrix
    quarter = Geometry((1280, 160), (64, 64), ((0, scale_y, 0), (-scale_x, 0, 64)))
    cam, geometry = (np.rot90(FAR).copy(), quarter) if turned else (FAR, SQUASH)
    found = measure(cam, geometry, region, metric_named("energy"))
    assert found.peak == pytest.approx((720, 10))
    is_sampled = isinstance(region, Widened)
    assert found.peak_distance == pytest.approx(distance, abs=0.5 if is_sampled else 1e-6)
