"""Is what a map marks the region, pixel by pixel? IoU and relevance rank, of the map on the input's own grid.

Neither is a function of the energy. What a map of h x w cells can reach at all is known within bounds: no map's value
lies outside of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pytest_cam.measures.localization import GridRegion

Array = npt.NDArray[np.float64]

# From this share of the map's maximum on, a pixel is marked.
_MARKED = 0.5
# What rounding may move, as a share of the maximum.
_ROUNDING = 1e-9


def iou(cam: Array, region: GridRegion) -> float:
    """Return the IoU of what the map marks with the region, in [0, 1].

    Marked are the pixels of the upsampled map from half of its maximum on; the region's are those that it covers at
    least half. A region that covers no pixel so much overlaps with nothing: 0.
    """
    raised = _raised(cam, region)
    marked, covered = raised >= _MARKED * raised.max(), _covered(region)
    return float((marked & covered).sum() / (marked | covered).sum())


def rank(cam: Array, region: GridRegion) -> float:
    """Return the share of the |M| highest pixels that lies in the region, in [0, 1].

    Relevance rank accuracy (Arras et al., arXiv 2003.07258, section 3.2), by area: |M| is the region's area, of a
    pixel that it covers in part that part counts, and of pixels of one value that are not all among the highest each
    counts with the same fraction. A map that is the same everywhere has chance.
    """
    raised = _raised(cam, region)
    return _share_of_highest(raised / raised.max(), region.coverage)


def range_of_iou(region: GridRegion) -> tuple[float, float]:
    """Return what no map's IoU is below, and what none is above.

    Whatever else a map marks, it marks the core of its highest cell: at best the region and the rest of that core, at
    worst that core and all that is not the region.
    """
    core, covered = _cores(region)
    size = float(_covered(region).sum())
    low = float(covered.min()) / region.coverage.size
    return low, float((size / (size + core - covered)).max()) if size else 0.0


def range_of_rank(region: GridRegion) -> tuple[float, float]:
    """Return what no map's rank is below, and what none is above: the pixels in the worst and in the best order."""
    return _share_of_highest(-region.coverage, region.coverage), _share_of_highest(region.coverage, region.coverage)


def _share_of_highest(values: Array, coverage: Array) -> float:
    """Return the share of the region's area, taken from the highest pixels, that lies in the region."""
    # Pixels of a plateau differ by rounding.
    _, level, count = np.unique(np.round(-values.ravel(), 9), return_inverse=True, return_counts=True)
    inside = np.bincount(level.ravel(), weights=coverage.ravel())
    area = float(coverage.sum())
    taken = np.clip((area - (np.cumsum(count) - count)) / count, 0.0, 1.0)
    return float((taken * inside).sum() / area)


def _raised(cam: Array, region: GridRegion) -> Array:
    """Return the map on the input's grid, (H, W)."""
    rows, columns = region.axes
    raised: Array = rows @ cam @ columns.T
    return raised


def _covered(region: GridRegion) -> npt.NDArray[np.bool_]:
    covered: npt.NDArray[np.bool_] = region.coverage >= 0.5
    return covered


def _cores(region: GridRegion) -> tuple[Array, Array]:
    """Return how many pixels any map that is highest in a cell marks for sure, and how many are covered, (h, w) each.

    They are the pixels p with U[p, cell] >= 0.5: nothing in U A is higher than the highest cell, and none is negative.
    """
    rows, columns = region.axes
    covered = _covered(region)
    all_of_it, inside = np.zeros(region.grid), np.zeros(region.grid)
    for row, column in np.ndindex(*region.grid):
        down, across = np.flatnonzero(rows[:, row] >= _MARKED), np.flatnonzero(columns[:, column] >= _MARKED)
        # Rounding may keep a pixel out of what a map marks; those are not sure.
        core = np.outer(rows[down, row], columns[across, column]) >= _MARKED * (1 + _ROUNDING)
        all_of_it[row, column] = core.sum()
        inside[row, column] = core[covered[np.ix_(down, across)]].sum()
    return all_of_it, inside
