"""Two maps of one image over the part of it that both models saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import EmptyMapError, ImageError, is_ours
from pytest_cam.images.geometry import Geometry, Rectangle, in_whole_pixels, intersection

__tracebackhide__ = is_ours

Array = npt.NDArray[np.float64]

# How far apart two inputs' corners may lie and still show the same part of the image, in cells of the finer map: far
# more than two fits of one geometry differ, and far less than a map can tell.
_SAME = 0.1


@dataclass(frozen=True, eq=False)
class Aligned:
    """Two maps that can be compared cell by cell, once they have one grid.

    Attributes:
        first: A map (h, w).
        second: A map (h, w), maybe of another grid over the same part of the image.
        extent: (height, width) of what the maps cover, in image pixels.
        part: What was compared, as a rectangle of the image, where the two models saw different parts; else None.
    """

    first: Array
    second: Array
    extent: tuple[float, float]
    part: Rectangle | None


def align(first: npt.ArrayLike, seen_first: Geometry, second: npt.ArrayLike, seen_second: Geometry) -> Aligned:
    """Bring two maps of one image to the part of it that both models saw.

    Two inputs that show the same part of the image the same way round, at whatever size, leave the maps as they are.
    Otherwise both maps are sampled, bilinearly, at the centres of a grid over what both inputs show, whose cells are
    as small as the smaller cells of the two maps.

    Args:
        first: A map (h, w), >= 0, not zero everywhere.
        seen_first: Between the image and the input that this map is of.
        second: Another.
        seen_second: Between the same image and its input.

    Raises:
        ImageError: The two inputs show no common part of the image.
        EmptyMapError: One of the maps is zero in the whole common part.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    cells = np.array([seen_first.cell_in_image(a.shape), seen_second.cell_in_image(b.shape)])
    smallest = cells.min(axis=0)
    corners = _corners(seen_first)
    if (np.abs(corners - _corners(seen_second)) < _SAME * smallest).all():
        return Aligned(a, b, extent_of(seen_first), None)
    part = _common(seen_first.seen, seen_second.seen)
    x1, y1, x2, y2 = part
    columns, rows = (max(1, round(size / cell)) for size, cell in zip((x2 - x1, y2 - y1), smallest, strict=True))
    x = x1 + (np.arange(columns) + 0.5) * (x2 - x1) / columns
    y = y1 + (np.arange(rows) + 0.5) * (y2 - y1) / rows
    on_part = [_sampled(cam, geometry, x, y) for cam, geometry in ((a, seen_first), (b, seen_second))]
    for which, cam in zip(("first", "second"), on_part, strict=True):
        if cam.max() == 0:
            raise EmptyMapError(
                f"the {which} map is zero in all of {in_whole_pixels(part)}, the part of the image that both models "
                "saw, so there is nothing to compare"
            )
    return Aligned(on_part[0], on_part[1], (y2 - y1, x2 - x1), part)


def extent_of(geometry: Geometry) -> tuple[float, float]:
    """Return how far an input reaches down and across, (height, width) in image pixels."""
    origin, right, down = _corners(geometry)
    return float(np.hypot(*(down - origin))), float(np.hypot(*(right - origin)))


def _corners(geometry: Geometry) -> Array:
    width, height = geometry.input_size
    return geometry.to_image([(0.0, 0.0), (width, 0.0), (0.0, height)])


def _common(first: Rectangle, second: Rectangle) -> Rectangle:
    part = x1, y1, x2, y2 = intersection(first, second)
    if x2 <= x1 or y2 <= y1:
        raise ImageError(
            f"the two models saw no common part of the image: {in_whole_pixels(first)} and {in_whole_pixels(second)} "
            "of it, in image pixels. Compare attentions whose preprocesses show the same part"
        )
    return part


def _sampled(cam: Array, geometry: Geometry, x: Array, y: Array) -> Array:
    """Return the map at the image points of a grid, (rows, columns)."""
    points = geometry.to_input(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    left, right, across = _neighbours(points[:, 0], cam.shape[1], geometry.input_size[0])
    above, below, down = _neighbours(points[:, 1], cam.shape[0], geometry.input_size[1])
    upper = cam[above, left] * (1 - across) + cam[above, right] * across
    lower = cam[below, left] * (1 - across) + cam[below, right] * across
    sampled: Array = (upper * (1 - down) + lower * down).reshape(len(y), len(x))
    return sampled


def _neighbours(position: Array, cells: int, length: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """Return the cells before and after each position along an axis of the input, and how far it is to the second."""
    place = np.clip(position * cells / length - 0.5, 0, cells - 1)
    before = np.floor(place).astype(np.intp)
    return before, np.minimum(before + 1, cells - 1), place - before
