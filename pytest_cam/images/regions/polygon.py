"""The polygon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.geometry import Geometry, Rectangle
from pytest_cam.images.regions.base import Region, require_inside, written
from pytest_cam.images.regions.raster import Array, Bools, Lines

__tracebackhide__ = is_ours

_ACCEPTED = "accepted: at least three (x, y) points in image pixels"


@dataclass(frozen=True)
class Polygon(Region):
    """A polygon in image pixels, closed by itself: the last point need not be the first again.

    A polygon that crosses itself is filled by the even-odd rule, as COCO's own tools fill it: what its outline runs
    around twice is outside.

    Attributes:
        points: The corners, (N, 2) as (x, y), N >= 3: a list of pairs, an array or a tensor; kept as pairs of floats.

    Raises:
        RegionError: There are fewer than three points, a coordinate is no finite number, or they lie on one line.
    """

    points: Sequence[Sequence[float]]

    def __post_init__(self) -> None:
        points = _checked(self.points)
        object.__setattr__(self, "points", tuple((x, y) for x, y in points.tolist()))

    @property
    def kind(self) -> str:
        """What it is called in texts."""
        return "polygon"

    def __str__(self) -> str:
        """Return how many corners it has, and the box around them."""
        return f"polygon of {len(self.points)} points in {written(self.bounds)}"

    @property
    def bounds(self) -> Rectangle:
        """The box around it, (x1, y1, x2, y2) in image pixels."""
        xs, ys = zip(*self.points, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def _edges(self) -> list[tuple[Sequence[float], Sequence[float]]]:
        return list(pairwise((*self.points, self.points[0])))

    @property
    def slanted(self) -> bool:
        """Whether any edge is neither upright nor level."""
        return any(start[0] != stop[0] and start[1] != stop[1] for start, stop in self._edges)

    def lines(self) -> Lines:
        """Return the x of the upright edges and the y of the level ones, and for slanted ones lines between."""
        xs = [start[0] for start, stop in self._edges if start[0] == stop[0]]
        ys = [start[1] for start, stop in self._edges if start[1] == stop[1]]
        x1, y1, x2, y2 = self.bounds
        # Smaller than the samples of an input pixel, it would else fall between them.
        between = (16, 32) if self.slanted else (1, 1)
        return np.append(np.linspace(x1, x2, between[0] + 1), xs), np.append(np.linspace(y1, y2, between[1] + 1), ys)

    def contains(self, xs: Array, ys: Array) -> Bools:
        """Return which points of the grid with ascending xs and ys lie inside, even-odd, (len(ys), len(xs))."""
        crossed = np.zeros((len(ys), len(xs) + 1), dtype=bool)
        for (x1, y1), (x2, y2) in self._edges:
            rows = np.arange(*np.searchsorted(ys, sorted((y1, y2))))
            if len(rows):
                crossings = x1 + (ys[rows] - y1) * (x2 - x1) / (y2 - y1)
                crossed[rows, np.searchsorted(xs, crossings)] ^= True
        inside: Bools = np.logical_xor.accumulate(crossed, axis=1)[:, :-1]
        return inside

    def require_within(self, image_size: tuple[int, int]) -> None:
        """Check that the polygon reaches outside the image by no more than a rounding.

        Raises:
            RegionError: It does.
        """
        require_inside(self, self.bounds, image_size)

    def distance(self, point: tuple[float, float], geometry: Geometry) -> float:
        """Return how far a point is from the polygon, both in image pixels; 0 inside."""
        if self.contains(np.array([point[0]]), np.array([point[1]])).any():
            return 0.0
        starts, stops = (np.array(ends) for ends in zip(*self._edges, strict=True))
        along, away = stops - starts, np.array(point) - starts
        # Of each edge the nearest point, as a share of the way along it; a corner given twice is one of no length.
        lengths = np.maximum((along * along).sum(axis=1), np.finfo(np.float64).tiny)
        shares = ((away * along).sum(axis=1) / lengths).clip(0, 1)
        return float(np.hypot(*(away - shares[:, None] * along).T).min())

    def outlines(self) -> list[npt.NDArray[np.float64]]:
        """Return the polygon itself, (N, 2) in image pixels."""
        return [np.array(self.points)]


def _checked(given: Any) -> npt.NDArray[np.float64]:
    try:
        points = np.asarray(given.tolist() if hasattr(given, "tolist") else given, dtype=np.float64)
    except (TypeError, ValueError):
        raise RegionError(f"polygon points are {_short(given)}; {_ACCEPTED}") from None
    if points.ndim == 1 and len(points) >= 6 and len(points) % 2 == 0:
        raise RegionError(
            f"polygon points are {len(points)} numbers in a row; {_ACCEPTED}. A COCO segmentation's "
            "[x1, y1, x2, y2, ...] is Polygon(numpy.reshape(numbers, (-1, 2)))"
        )
    if points.ndim == 2 and len(points) == 1 and points.size >= 6:
        raise RegionError(
            f"polygon points are one list of {points.size} numbers; {_ACCEPTED}. Of a COCO segmentation each list is "
            "one: [Polygon(numpy.reshape(numbers, (-1, 2))) for numbers in segmentation]"
        )
    if points.size and (points.ndim != 2 or points.shape[1] != 2):
        raise RegionError(f"polygon points have the shape {points.shape}; {_ACCEPTED}, the shape (N, 2)")
    if len(points) < 3:
        count = f"{len(points)} point{'' if len(points) == 1 else 's'}"
        raise RegionError(f"polygon has {count}; {_ACCEPTED}. A box is Box(x1, y1, x2, y2)")
    for number, point in enumerate(points):
        if not np.isfinite(point).all():
            raise RegionError(f"polygon point {number} is {tuple(point.tolist())}; accepted: finite numbers")
    sides = points[1:] - points[0]
    longest = sides[np.argmax(np.abs(sides).sum(axis=1))]
    if not (sides[:, 0] * longest[1] != sides[:, 1] * longest[0]).any():
        raise RegionError(f"polygon of {len(points)} points has no area: all its points lie on one line; {_ACCEPTED}")
    return points


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 100 else f"{text[:100]}..."
