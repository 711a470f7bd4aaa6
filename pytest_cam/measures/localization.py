"""Is the map where the region is? Energy, chance, ceiling, skill, lift, the pointing game, IoU and relevance rank.

A map A is (h, w), a region is its coverage M of the input's pixels, (H, W) in [0, 1], and U is the bilinear
upsampling (align_corners=False) from the one grid to the other; along an axis with more cells than pixels each pixel is
the mean of the cells over it, by the length that they share. Sums over pixels of U A are sums over cells of A times
U^T, so for all that comes from the energy nothing is upsampled, and what a map of this resolution can reach at all is
known exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import MetricError, is_ours, nearest
from pytest_cam.images.regions.touched import Touched, TouchedPixels
from pytest_cam.measures.extent import iou, range_of_iou, range_of_rank, rank

__tracebackhide__ = is_ours

Array = npt.NDArray[np.float64]


@lru_cache(maxsize=64)
def resampling(cells: int, pixels: int) -> Array:
    """Return the matrix (pixels, cells), read-only, from cells to pixels along one axis; each of its rows sums to 1.

    It interpolates linearly, align_corners=False. That passes over cells where there are more of them than pixels: then
    each pixel is the mean of the cells over it, by the length that they share.
    """
    matrix = _linear(cells, pixels) if cells <= pixels else _means(cells, pixels)
    matrix.flags.writeable = False
    return matrix


def _linear(cells: int, pixels: int) -> Array:
    position = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, None)
    low = np.minimum(np.floor(position).astype(int), cells - 1)
    high = np.minimum(low + 1, cells - 1)
    share = np.minimum(position - low, 1.0)
    matrix = np.zeros((pixels, cells))
    np.add.at(matrix, (np.arange(pixels), low), 1 - share)
    np.add.at(matrix, (np.arange(pixels), high), share)
    return matrix


def _means(cells: int, pixels: int) -> Array:
    # With a cell `pixels` long and a pixel `cells` long, all lengths are whole numbers.
    pixel, cell = np.arange(pixels)[:, None] * cells, np.arange(cells) * pixels
    shared = np.minimum(pixel + cells, cell + pixels) - np.maximum(pixel, cell)
    matrix: Array = shared.clip(0) / cells
    return matrix


@lru_cache(maxsize=64)
def _weight(grid: tuple[int, int], size: tuple[int, int]) -> Array:
    rows, columns = (resampling(cells, pixels).sum(axis=0) for cells, pixels in zip(grid, size, strict=True))
    weight: Array = np.outer(rows, columns)
    weight.flags.writeable = False
    return weight


def upsample(cam: npt.ArrayLike, size: tuple[int, int]) -> Array:
    """Return a map (h, w) on the input grid, (H, W): bilinear with align_corners=False, or means where it is finer."""
    cam = np.asarray(cam, dtype=np.float64)
    result: Array = resampling(cam.shape[0], size[0]) @ cam @ resampling(cam.shape[1], size[1]).T
    return result


@dataclass(frozen=True, eq=False)
class GridRegion:
    """A region as a map of h x w cells can resolve it.

    Attributes:
        touched: M, the share of each input pixel that lies in the region.
        size: (H, W) of the input.
        grid: (h, w) of the map.
    """

    touched: Touched
    size: tuple[int, int]
    grid: tuple[int, int]

    @classmethod
    def of(cls, coverage: Array, grid: tuple[int, int]) -> GridRegion:
        """Return the region of some coverage of all pixels, (H, W) in [0, 1]."""
        return cls(TouchedPixels((0, 0), coverage), (coverage.shape[0], coverage.shape[1]), grid)

    @cached_property
    def coverage(self) -> Array:
        """M for all pixels, (H, W) in [0, 1]."""
        return self.touched.coverage(self.size)

    @cached_property
    def axes(self) -> tuple[Array, Array]:
        """U along the rows, (H, h), and along the columns, (W, w)."""
        return resampling(self.grid[0], self.size[0]), resampling(self.grid[1], self.size[1])

    @cached_property
    def weight(self) -> Array:
        """U^T 1: how much of the upsampled map's mass one unit in each cell makes, (h, w)."""
        return _weight(self.grid, self.size)

    @cached_property
    def share(self) -> Array:
        """(U^T M) / (U^T 1): the share of each cell's mass that falls into the region, (h, w) in [0, 1]."""
        share: Array = self.touched.folded(*self.axes) / self.weight
        # By rounding more than all of a cell may seem to lie there, and a check that nothing fails seem to be one.
        return np.minimum(share, 1.0, out=share)

    @cached_property
    def chance(self) -> float:
        """A = |M| / N: the energy of a map that is the same everywhere."""
        return self.touched.area / (self.size[0] * self.size[1])

    @cached_property
    def ceiling(self) -> float:
        """C: the most energy that any map of this grid can put into the region."""
        return float(self.share.max())

    @cached_property
    def floor(self) -> float:
        """The least energy that any map of this grid can put into the region."""
        return float(self.share.min())

    @cached_property
    def hits(self) -> npt.NDArray[np.bool_]:
        """Which cells would be a hit in the pointing game if the map's peak lay there, (h, w)."""
        touched = np.pad((self.coverage > 0).cumsum(axis=1), ((0, 0), (1, 0)))
        height, length = self.size
        middles = np.arange(height) + 0.5
        columns = np.array([self.centre(0, column)[0] for column in range(self.grid[1])])
        hits = np.zeros(self.grid, dtype=bool)
        for row in range(self.grid[0]):
            # In each pixel row near enough, the pixels that touch the disc around the cell's centre.
            dy = np.maximum(np.abs(middles - self.centre(row, 0)[1]) - 0.5, 0.0)
            near = np.flatnonzero(dy <= self.tolerance)
            reach = np.sqrt(self.tolerance**2 - dy[near] ** 2)[:, None]
            first = np.ceil(columns - reach - 1).clip(0, length).astype(int)
            after = (np.floor(columns + reach) + 1).clip(0, length).astype(int)
            hits[row] = (touched[near[:, None], after] > touched[near[:, None], first]).any(axis=0)
        return hits

    @property
    def tolerance(self) -> float:
        """How far from the region a peak still hits, in input pixels: 15 at 500 pixels, or half a cell."""
        height, width = self.size
        half_cell = max(height / self.grid[0], width / self.grid[1]) / 2
        return float(max(15 / 500 * max(height, width), half_cell))

    def centre(self, row: int, column: int) -> tuple[float, float]:
        """Return the centre (x, y) of a cell in input pixels."""
        height, width = self.size
        return (column + 0.5) * width / self.grid[1], (row + 0.5) * height / self.grid[0]


def energy(cam: Array, region: GridRegion) -> float:
    """Return E = sum_M A / sum A on the input grid, in [0, 1].

    The energy-based pointing game (Wang et al., arXiv 1910.01279, section 4.3), also called relevance mass accuracy
    (Arras et al., arXiv 2003.07258).
    """
    mass = cam * region.weight
    return float((mass * region.share).sum() / mass.sum())


def skill(cam: Array, region: GridRegion) -> float:
    """Return (E - chance) / (ceiling - chance): 0 is chance, 1 the best that this grid can reach."""
    return _skill_of(energy(cam, region), region)


def lift(cam: Array, region: GridRegion) -> float:
    """Return E / chance (Kohlbrenner et al., arXiv 1910.09840, weighted attribution localisation)."""
    return _lift_of(energy(cam, region), region)


def pointing(cam: Array, region: GridRegion) -> float:
    """Return 1.0 where the map's peak hits the region, else 0.0 (Zhang et al., arXiv 1608.00507).

    A peak hits within `GridRegion.tolerance` of the region. A peak shared by several cells that together make more
    than 1 % of the map points nowhere: the answer is NaN, which meets no limit.
    """
    if is_tied(cam):
        return float("nan")
    return float(region.hits[peak_cell(cam)])


def peak_cell(cam: Array) -> tuple[int, int]:
    """Return (row, column) of the strongest cell; the first one, where several tie."""
    row, column = divmod(int(cam.argmax()), cam.shape[1])
    return row, column


def tied_cells(cam: Array) -> int:
    """Return how many cells share the map's maximum."""
    return int(np.count_nonzero(cam == cam.max()))


def is_tied(cam: Array) -> bool:
    """Return whether the peak is shared by more than one cell and by more than 1 % of the map."""
    tied = tied_cells(cam)
    return tied > 1 and tied > 0.01 * cam.size


def _range_of_pointing(region: GridRegion) -> tuple[float, float]:
    return float(region.hits.min()), float(region.hits.max())


@dataclass(frozen=True)
class Metric:
    """A number that says how well a map lies in a region.

    Attributes:
        name: Its name in calls, markers and messages.
        value: From a map (h, w) and a region to the number.
        low: The least value that a limit may have.
        high: The greatest value that a limit may have.
        attainable: From a region to a number that no map's value is below, and one that none is above. For functions of
            the energy and for the pointing game these are the least and the greatest value of a map of this grid; for
            "iou" and "rank" there may be none at either end.
        by_energy: Whether it is a function of the energy that rises with it, so that the ceiling bounds it.
    """

    name: str
    value: Callable[[Array, GridRegion], float]
    low: float
    high: float
    attainable: Callable[[GridRegion], tuple[float, float]]
    by_energy: bool = False


def _between(of_energy: Callable[[float, GridRegion], float]) -> Callable[[GridRegion], tuple[float, float]]:
    """Return the range of a function that rises with the energy."""
    return lambda region: (of_energy(region.floor, region), of_energy(region.ceiling, region))


def _skill_of(energy: float, region: GridRegion) -> float:
    return (energy - region.chance) / (region.ceiling - region.chance)


def _lift_of(energy: float, region: GridRegion) -> float:
    return energy / region.chance


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("skill", skill, -float("inf"), 1.0, _between(_skill_of), by_energy=True),
        Metric("energy", energy, 0.0, 1.0, _between(lambda energy, _: energy), by_energy=True),
        Metric("lift", lift, 0.0, float("inf"), _between(_lift_of), by_energy=True),
        Metric("pointing", pointing, 0.0, 1.0, _range_of_pointing),
        Metric("iou", iou, 0.0, 1.0, range_of_iou),
        Metric("rank", rank, 0.0, 1.0, range_of_rank),
    )
}


def metric_named(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        MetricError: There is no such metric.
    """
    if not isinstance(name, str) or name not in METRICS:
        raise MetricError(f"there is no metric {name!r}. {nearest(name, METRICS)}")
    return METRICS[name]
