"""How much of each input pixel lies inside something that can say of any point whether it holds it.

Points and lines are in image pixels until they are laid over the input. Between two neighbouring lines nothing
changes for shapes with upright edges, so their areas are exact; slanted edges are sampled finely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pytest_cam.images.geometry import Geometry

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Lines = tuple[Array, Array]

# Samples a pixel along x and y of the image for slanted edges. They differ, so that no diagonal through the corners of
# pixels runs through samples, and are powers of two, so that a covered pixel adds up to exactly one.
_FINE = (4, 8)
# From this size of the input on there are fewer: its pixels are small beside the cells of any map.
_LARGE = 512
# Samples of what lies outside the input, where only the size of the whole matters.
_OUTSIDE = 256


class Shape(Protocol):
    """What can be laid over the input."""

    @property
    def slanted(self) -> bool:
        """Whether it has edges that are neither upright nor level."""

    def lines(self) -> Lines:
        """Return the x of all upright edges and the y of all level ones, in image pixels."""

    def contains(self, xs: Array, ys: Array) -> Bools:
        """Return which points of the grid with ascending xs and ys lie inside, (len(ys), len(xs))."""


@dataclass(frozen=True, eq=False)
class Raster:
    """A shape in cells between lines on the input; the image's part outside the input is there too.

    Attributes:
        columns: The x of the cells' edges, ascending, (m + 1,) in input pixels.
        rows: The y of the cells' edges, ascending, (n + 1,) in input pixels.
        inside: Which cells belong to the shape, (n, m).
        size: (width, height) of the input.
    """

    columns: Array
    rows: Array
    inside: Bools
    size: tuple[int, int]

    @classmethod
    def of(cls, shape: Shape, geometry: Geometry) -> Raster:
        """Lay a shape over the input. Nothing outside the image belongs to it."""
        matrix = np.array(geometry.matrix)
        turned = abs(matrix[0, 0]) < abs(matrix[0, 1])
        lines = shape.lines()
        edges, middles = [], []
        for axis in range(2):
            source = 1 - axis if turned else axis
            scale, offset = matrix[axis, source], matrix[axis, 2]
            carried = scale * np.clip(lines[source], 0, geometry.image_size[source]) + offset
            ends = sorted((offset, scale * geometry.image_size[source] + offset))
            edges.append(_edges(carried, ends, geometry.input_size[axis], _samples(shape, source, geometry)))
            middles.append(((edges[axis][:-1] + edges[axis][1:]) / 2 - offset) / scale)
        xs, ys = middles[::-1] if turned else middles
        inside = _within_image(shape, xs, ys, geometry.image_size)
        return cls(edges[0], edges[1], inside.T if turned else inside, geometry.input_size)

    def coverage(self) -> Array:
        """Return the share of each input pixel that lies in the shape, by area, (H, W) in [0, 1]."""
        width, height = self.size
        by_column = np.add.reduceat(self._seen * self._widths, _starts(self._seen_columns, width), axis=1)
        coverage = np.add.reduceat(by_column * self._heights[:, None], _starts(self._seen_rows, height), axis=0)
        return np.minimum(coverage, 1.0)

    def visible_share(self) -> float:
        """Return the share of the shape's area that lies on the input; NaN where it has no area."""
        whole = float(np.diff(self.rows) @ (self.inside @ np.diff(self.columns)))
        seen = float(self._heights @ (self._seen @ self._widths))
        return seen / whole if whole > 0 else float("nan")

    def distance(self, point: tuple[float, float], pixel: tuple[float, float]) -> float:
        """Return how far a point of the input is from the shape; 0 inside.

        Args:
            point: (x, y) in input pixels.
            pixel: (width, height) of an input pixel, in the unit of the distance.
        """
        dx, dy = (
            np.maximum(np.maximum(edges[:-1] - at, at - edges[1:]), 0.0) * length
            for edges, at, length in zip((self.columns, self.rows), point, pixel, strict=True)
        )
        return float(np.sqrt(np.where(self.inside, dx * dx + (dy * dy)[:, None], np.inf).min()))

    @property
    def _seen_columns(self) -> Array:
        return self.columns[(self.columns >= 0) & (self.columns <= self.size[0])]

    @property
    def _seen_rows(self) -> Array:
        return self.rows[(self.rows >= 0) & (self.rows <= self.size[1])]

    @property
    def _widths(self) -> Array:
        return np.diff(self._seen_columns)

    @property
    def _heights(self) -> Array:
        return np.diff(self._seen_rows)

    @property
    def _seen(self) -> Bools:
        top, left = np.searchsorted(self.rows, 0.0), np.searchsorted(self.columns, 0.0)
        return self.inside[top : top + len(self._heights), left : left + len(self._widths)]


def _samples(shape: Shape, axis: int, geometry: Geometry) -> int:
    if not shape.slanted:
        return 1
    return max(1, _FINE[axis] // max(1, max(geometry.input_size) // _LARGE))


def _edges(carried: Array, ends: list[float], length: int, fine: int) -> Array:
    pixels = np.linspace(0, length, fine * length + 1)
    around = np.linspace(ends[0], ends[1], _OUTSIDE + 1) if fine > 1 else np.array(ends)
    around = around[(around <= 0) | (around >= length) | np.isin(around, ends)]
    # Carrying rounds: without this, slivers of 1e-13 pixels would count as touched.
    edges: Array = np.unique(np.round(np.concatenate([pixels, around, carried]), 9))
    return edges


def _within_image(shape: Shape, xs: Array, ys: Array, image_size: tuple[int, int]) -> Bools:
    step_x, step_y = (1 if len(line) < 2 or line[0] < line[-1] else -1 for line in (xs, ys))
    inside = shape.contains(xs[::step_x], ys[::step_y])[::step_y, ::step_x]
    inside &= (xs > 0) & (xs < image_size[0])
    inside &= ((ys > 0) & (ys < image_size[1]))[:, None]
    return inside


def _starts(edges: Array, length: int) -> npt.NDArray[np.intp]:
    return np.searchsorted(edges, np.arange(length))
