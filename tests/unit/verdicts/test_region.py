"""Measuring in regions of every kind, through a preprocess that resizes and crops."""

import numpy as np
import pytest

from pytest_cam import Box, Mask, Polygon, Region
from pytest_cam.images.geometry import Geometry
from pytest_cam.measures.localization import METRICS, metric_named
from pytest_cam.verdicts.evidence import Measurement
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
