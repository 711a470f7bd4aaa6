"""The affine map between image pixels and input pixels, whatever the preprocess.

Coordinates are continuous: pixel (i, j) covers [i, i + 1) x [j, j + 1), its centre is (i + 0.5, j + 0.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import is_ours

__tracebackhide__ = is_ours

Points = npt.NDArray[np.float64]
Rectangle = tuple[float, float, float, float]
Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]
# From an image to the model's input; `pytest_cam.images.applying` says what it may take and give.
Preprocess = Callable[..., Any]


@dataclass(frozen=True)
class Geometry:
    """How image pixels become input pixels: input = matrix @ (x, y, 1), axis-aligned.

    Attributes:
        image_size: (width, height) of the user's image.
        input_size: (width, height) of the model's input.
        matrix: Two rows of three numbers; flips and right-angle turns are allowed, shear is not.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    matrix: Matrix

    @classmethod
    @lru_cache(maxsize=64)  # so that its inverse is worked out once
    def identity(cls, size: tuple[int, int]) -> Geometry:
        """Return the geometry of a model input, which is its own image."""
        return cls(size, size, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))

    @cached_property
    def inverse(self) -> Matrix:
        """The map from input pixels back to image pixels, as two rows of three numbers."""
        full = np.linalg.inv(np.vstack([self.matrix, (0.0, 0.0, 1.0)]))
        first, second = full[:2].tolist()
        return tuple(first), tuple(second)

    def to_input(self, points: npt.ArrayLike) -> Points:
        """Carry image points (N, 2) to input points (N, 2)."""
        return _apply(self.matrix, points)

    def to_image(self, points: npt.ArrayLike) -> Points:
        """Carry input points (N, 2) to image points (N, 2)."""
        return _apply(self.inverse, points)

    def point_to_image(self, x: float, y: float) -> tuple[float, float]:
        """Carry one input point to the image."""
        return _point(self.inverse, x, y)

    def rectangle_to_input(self, rectangle: Rectangle) -> Rectangle:
        """Carry an image rectangle (x1, y1, x2, y2) to the input, not clipped."""
        return _rectangle(self.matrix, rectangle)

    def rectangle_to_image(self, rectangle: Rectangle) -> Rectangle:
        """Carry an input rectangle (x1, y1, x2, y2) to the image, not clipped."""
        return _rectangle(self.inverse, rectangle)

    @cached_property
    def seen(self) -> Rectangle:
        """The part of the image that the model sees, in image pixels."""
        return intersection(self.rectangle_to_image(rectangle_of(self.input_size)), rectangle_of(self.image_size))

    def cell_in_image(self, grid: tuple[int, int]) -> tuple[float, float]:
        """Return (width, height) in image pixels of one cell of a map with grid (rows, columns)."""
        cell = self.input_size[0] / grid[1], self.input_size[1] / grid[0]
        x1, y1, x2, y2 = self.rectangle_to_image((0.0, 0.0, *cell))
        return x2 - x1, y2 - y1


def rectangle_of(size: tuple[int, int]) -> Rectangle:
    """Return all of something of that (width, height)."""
    return 0.0, 0.0, float(size[0]), float(size[1])


def intersection(first: Rectangle, second: Rectangle) -> Rectangle:
    """Return what two rectangles have in common; where that is nothing, x2 <= x1 or y2 <= y1."""
    return max(first[0], second[0]), max(first[1], second[1]), min(first[2], second[2]), min(first[3], second[3])


def in_whole_pixels(rectangle: Rectangle) -> str:
    """Return (x1, y1, x2, y2) for a text."""
    return "({:.0f}, {:.0f}, {:.0f}, {:.0f})".format(*rectangle)


def size_said(size: Iterable[int]) -> str:
    """Return "640 x 480"."""
    return " x ".join(map(str, size))


def _apply(matrix: npt.ArrayLike, points: npt.ArrayLike) -> Points:
    rows = np.asarray(matrix, dtype=np.float64)
    result: Points = np.asarray(points, dtype=np.float64) @ rows[:, :2].T + rows[:, 2]
    return result


def _rectangle(matrix: Matrix, rectangle: Rectangle) -> Rectangle:
    # Numbers, not arrays: every check carries several of these.
    x1, y1, x2, y2 = map(float, rectangle)
    (left, top), (right, bottom) = _point(matrix, x1, y1), _point(matrix, x2, y2)
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _point(matrix: Matrix, x: float, y: float) -> tuple[float, float]:
    (a, b, c), (d, e, f) = matrix
    return a * x + b * y + c, d * x + e * y + f
