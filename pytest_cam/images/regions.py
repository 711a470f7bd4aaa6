"""Regions of the image, and how much of each input pixel they cover."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.geometry import Geometry, Rectangle

__tracebackhide__ = is_ours

# Annotation tools round; a corner this many pixels outside the image is one of their roundings.
_ROUNDING = 1.0


class Region(ABC):
    """A set of pixels of the image, not of the input."""

    @abstractmethod
    def coverage(self, geometry: Geometry) -> npt.NDArray[np.float64]:
        """Return the share of each input pixel that lies in the region, (H, W) in [0, 1]."""

    @abstractmethod
    def dilate(self, dx: float, dy: float, image_size: tuple[int, int]) -> Region:
        """Return the region widened by that many image pixels to each side, within the image."""

    @abstractmethod
    def visible_share(self, geometry: Geometry) -> float:
        """Return the share of the region's area that the model saw, in [0, 1].

        Raises:
            RegionError: The region lies outside the image.
        """

    @abstractmethod
    def outlines(self) -> list[npt.NDArray[np.float64]]:
        """Return the closed polygons, each (N, 2) in image pixels, that bound the region."""


@dataclass(frozen=True)
class Box(Region):
    """A bounding box in image pixels, half-open: x1 <= x < x2, y1 <= y < y2.

    Attributes:
        x1: Left edge.
        y1: Top edge.
        x2: Right edge, the first column that is outside.
        y2: Bottom edge, the first row that is outside.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        for name in ("x1", "y1", "x2", "y2"):
            value = getattr(self, name)
            try:
                number = float(value)
            except (TypeError, ValueError):
                raise RegionError(f"box {name} is {value!r}; accepted: a number of image pixels") from None
            if not math.isfinite(number):
                raise RegionError(f"box {name} is {value}; accepted: a finite number of image pixels")
            object.__setattr__(self, name, number)
        for low, high in (("x1", "x2"), ("y1", "y2")):
            if getattr(self, high) <= getattr(self, low):
                raise RegionError(
                    f"box {self} is empty: {high} must exceed {low}. The order is (x1, y1, x2, y2); a COCO "
                    f"(x, y, width, height) is Box(x, y, x + width, y + height)"
                )

    def __str__(self) -> str:
        """Return the coordinates as a reader would write them."""
        return f"({', '.join(f'{value:.1f}'.removesuffix('.0') for value in astuple(self))})"

    @property
    def area(self) -> float:
        """The area in square image pixels."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def coverage(self, geometry: Geometry) -> npt.NDArray[np.float64]:
        """Return the share of each input pixel that lies in the box, by area, (H, W) in [0, 1]."""
        x1, y1, x2, y2 = geometry.rectangle_to_input(_clipped(astuple(self), geometry.image_size))
        columns = _overlap(geometry.input_size[0], x1, x2)
        rows = _overlap(geometry.input_size[1], y1, y2)
        coverage: npt.NDArray[np.float64] = np.outer(rows, columns)
        return coverage

    def dilate(self, dx: float, dy: float, image_size: tuple[int, int]) -> Box:
        """Return the box widened by dx to the left and right and dy to the top and bottom, within the image."""
        return Box(*_clipped((self.x1 - dx, self.y1 - dy, self.x2 + dx, self.y2 + dy), image_size))

    def visible_share(self, geometry: Geometry) -> float:
        """Return the share of the box's area that the model saw, in [0, 1].

        Raises:
            RegionError: The box lies outside the image by more than a rounding.
        """
        width, height = geometry.image_size
        out = max(-self.x1, -self.y1, self.x2 - width, self.y2 - height)
        if out > _ROUNDING:
            raise RegionError(
                f"box {self} lies outside the image, which is {width} x {height} pixels, by {out:.1f}. Boxes are "
                "in pixels of the image, not of the model's input, and not normalised"
            )
        return min(_intersection(astuple(self), geometry.seen) / self.area, 1.0)

    def outlines(self) -> list[npt.NDArray[np.float64]]:
        """Return the one rectangle that bounds the box, (4, 2) in image pixels."""
        return [np.array([(self.x1, self.y1), (self.x2, self.y1), (self.x2, self.y2), (self.x1, self.y2)])]


def _clipped(box: Sequence[float], image_size: tuple[int, int]) -> Rectangle:
    width, height = image_size
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))


def _overlap(length: int, start: float, stop: float) -> npt.NDArray[np.float64]:
    edges = np.arange(length, dtype=np.float64)
    overlap: npt.NDArray[np.float64] = np.minimum(edges + 1, stop) - np.maximum(edges, start)
    return overlap.clip(0.0, 1.0)


def _intersection(first: Sequence[float], second: Sequence[float]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0.0) * max(height, 0.0)


def as_region(value: Any) -> Region:
    """Return a region from what a user passes as one.

    Args:
        value: A `Box`, or four numbers (x1, y1, x2, y2) in image pixels: a tuple, list, array or tensor.

    Returns:
        The region.

    Raises:
        RegionError: It is neither, or the box is malformed.
    """
    if isinstance(value, Region):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and len(value) == 4:
        return Box(*value)
    raise RegionError(
        f"region is {value!r}; accepted: Box(x1, y1, x2, y2), or four numbers (x1, y1, x2, y2) in image pixels"
    )


def require_visible(region: Region, geometry: Geometry) -> float:
    """Return the share of a region that the model saw, after checking that it is enough.

    Args:
        region: The region, in image pixels.
        geometry: The way from the image to the input.

    Returns:
        The visible share of the region's area, in [0.5, 1].

    Raises:
        RegionError: The region is outside the image, or more than half of it is outside what the model saw.
    """
    share = region.visible_share(geometry)
    seen = Box(*geometry.seen)
    if share == 0:
        raise RegionError(
            f"box {region} lies wholly outside the crop that the model saw, {seen} of the image: no check of it "
            "means anything"
        )
    if share < 0.5:
        raise RegionError(
            f"only {share:.0%} of box {region} lies inside the crop that the model saw, {seen} of the image; "
            "at least half must"
        )
    return share
