"""What a verdict needs to be drawn and explained: small arrays and plain values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_cam.engine.scores.explained import Explained
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.loading import RGB
from pytest_cam.images.regions import Region
from pytest_cam.measures.localization import METRICS
from pytest_cam.verdicts.limits import Judged, Limits


@dataclass(frozen=True)
class Measurement(Judged):
    """One metric of one map in one region, and the limits it is held to.

    Attributes:
        metric: The metric's name.
        value: Its value.
        limits: What passes; empty where the value was only asked for.
        region: Where it was measured, in image pixels: the user's region, or that region widened.
        energy: The share of the map's mass in the region, in [0, 1].
        chance: The energy of a map that is the same everywhere.
        ceiling: The most energy that any map of this grid can put there.
        peak: Where the map is strongest, (x, y) in image pixels.
        peak_distance: From there to the region, in image pixels; 0 inside.
        tied_cells: How many cells share the maximum.
        visible_share: The share of the region that the model saw.
    """

    metric: str
    value: float
    limits: Limits
    region: Region
    energy: float
    chance: float
    ceiling: float
    peak: tuple[float, float]
    peak_distance: float
    tied_cells: int
    visible_share: float

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest that a limit may be."""
        metric = METRICS[self.metric]
        return metric.low, metric.high

    @property
    def level(self) -> float | None:
        """The value of a map that is the same everywhere; None for metrics that are no function of the energy."""
        return {"skill": 0.0, "lift": 1.0, "energy": self.chance}.get(self.metric)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is needed to draw and explain one verdict.

    Attributes:
        check: What was asked, in words: "attention in box".
        map: The raw map, (h, w) float32, >= 0.
        picture: The image for drawing, (H, W, 3) uint8, reduced where it is very large.
        image_name: What the user passed.
        geometry: Between image and input.
        layer: The layer's dotted name.
        layer_call: Which of the layer's executions is explained, from 1.
        layer_calls: How often the layer ran.
        layout: How the layer's output was read as (B, C, h, w).
        method: The CAM method.
        explained: The score that is explained.
        regions: The regions of the check, in image pixels, as the user gave them.
        measurements: The numbers, one a region and metric.
        problem: Where there is no verdict, what the check failed of instead, in a line.
    """

    check: str
    map: npt.NDArray[np.float32]
    picture: RGB
    image_name: str
    geometry: Geometry
    layer: str
    layer_call: int
    layer_calls: int
    layout: str
    method: str
    explained: Explained
    regions: tuple[Region, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    problem: str = ""

    @property
    def resolved_regions(self) -> tuple[Region, ...]:
        """The regions of the check, dilated by cells of this map where the user asked for that."""
        cell = self.geometry.cell_in_image(self.map.shape)
        return tuple(region.resolved(cell, self.geometry.image_size) for region in self.regions)
