"""Measuring a map in a region, and holding the measurement to its limits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import is_ours
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import Region, require_visible
from pytest_cam.measures.localization import GridRegion, Metric, energy, peak_cell, tied_cells
from pytest_cam.running import RUNNING
from pytest_cam.verdicts.evidence import Measurement
from pytest_cam.verdicts.limits import Limits, require_decidable, require_spread

__tracebackhide__ = is_ours

Map = npt.NDArray[np.float32]


def measure(
    cam: Map,
    geometry: Geometry,
    region: Region,
    metric: Metric,
    limits: Limits | None = None,
    *,
    widen: bool = False,
) -> Measurement:
    """Measure one metric of a map in a region.

    Args:
        cam: The raw map (h, w), not zero everywhere.
        geometry: Between image and input.
        region: The region, in image pixels; what it is to be dilated by is taken in cells of this map.
        metric: What to measure.
        limits: What the value is held to. None only measures; then nothing is asked of the region but what the
            metric needs in order to have a value.
        widen: Whether to measure on the region widened by one cell of the map to each side. A small mark's evidence
            spreads over the cells around it: in the mark's own box a model that reads nothing else keeps a small
            part of its energy.

    Returns:
        The value with all that puts it in proportion.

    Raises:
        RegionError: The region is empty, outside the image, or outside what the model saw.
        UnattainableError: No map of this grid can meet the limits.
        VacuousError: The check, or the metric's value, means nothing in this region.
    """
    cell = geometry.cell_in_image(cam.shape)
    region = region.resolved(cell, geometry.image_size)
    visible = require_visible(region, geometry)
    if widen:
        region = region.widened(*cell, geometry.image_size)
    on_grid = grid_region(region, geometry, cam.shape)
    if metric.name == "skill" or (limits is not None and limits.at_least is not None):
        require_spread(metric, on_grid)
    if limits is not None and not RUNNING.is_recording:
        require_decidable(metric, limits, on_grid)
    exact = cam.astype(np.float64)
    peak = peak_in_image(cam, geometry)
    return Measurement(
        metric=metric.name,
        value=metric.value(exact, on_grid),
        limits=limits or Limits(),
        region=region,
        energy=energy(exact, on_grid),
        chance=on_grid.chance,
        ceiling=on_grid.ceiling,
        peak=peak,
        peak_distance=region.distance(peak, geometry),
        tied_cells=tied_cells(exact),
        visible_share=visible,
    )


def grid_region(region: Region, geometry: Geometry, grid: tuple[int, int]) -> GridRegion:
    """Return a region, resolved, as a map with a grid (h, w) can resolve it."""
    width, height = geometry.input_size
    return GridRegion(region.touched(geometry), (height, width), grid)


def peak_in_image(cam: Map, geometry: Geometry) -> tuple[float, float]:
    """Return the centre of the map's strongest cell, (x, y) in image pixels."""
    row, column = peak_cell(cam.astype(np.float64))
    width, height = geometry.input_size
    return geometry.point_to_image((column + 0.5) * width / cam.shape[1], (row + 0.5) * height / cam.shape[0])
