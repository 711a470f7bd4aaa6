"""The bounding box, and the ways in which annotation formats write one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.geometry import Geometry, Rectangle, intersection, rectangle_of
from pytest_cam.images.regions.base import Region, require_inside, written
from pytest_cam.images.regions.raster import Array, Bools, Lines
from pytest_cam.images.regions.touched import Touched, TouchedRectangle

__tracebackhide__ = is_ours


@dataclass(frozen=True)
class Box(Region):
    """A bounding box in image pixels, half-open: x1 <= x < x2, y1 <= y < y2.

    Attributes:
        x1: Left edge.
        y1: Top edge.
        x2: Right edge, the first column that is outside.
        y2: Bottom edge, the first row that is outside.
        image_size: (width, height) of the image that the box was made for, where that is known; a box is not
            measured in an image of another size.

    Raises:
        RegionError: A coordinate is no finite number, or the box is empty.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    image_size: tuple[int, int] | None = field(default=None, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("x1", "y1", "x2", "y2"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        for low, high in (("x1", "x2"), ("y1", "y2")):
            if getattr(self, high) <= getattr(self, low):
                raise RegionError(
                    f"box {self} is empty: {high} must exceed {low}. The order is (x1, y1, x2, y2); a COCO "
                    "(x, y, width, height) is Box.xywh(x, y, width, height)"
                )

    @classmethod
    def xyxy(cls, x1: float, y1: float, x2: float, y2: float) -> Box:
        """Return a box from its corners in image pixels: `Box(x1, y1, x2, y2)` by the name of its format."""
        return cls(x1, y1, x2, y2)

    @classmethod
    def xywh(cls, x: float, y: float, width: float, height: float) -> Box:
        """Return a box from its top left corner and its size in image pixels, as COCO writes it.

        Raises:
            RegionError: A value is no finite number, or a side is not above 0.
        """
        x, y = _number("x", x), _number("y", y)
        width, height = _side("width", width), _side("height", height)
        return cls(x, y, x + width, y + height)

    @classmethod
    def cxcywh_normalized(cls, cx: float, cy: float, w: float, h: float, image_size: tuple[int, int]) -> Box:
        """Return a box from its centre and size as shares of the image's, as YOLO writes it.

        Args:
            cx: The centre's x, in [0, 1].
            cy: The centre's y, in [0, 1].
            w: The width, in (0, 1].
            h: The height, in (0, 1].
            image_size: (width, height) of the image in pixels, as of PIL's `Image.size`.

        Raises:
            RegionError: A value is no share, or a side is 0.
        """
        cx, cy, w, h = _number("cx", cx), _number("cy", cy), _side("w", w), _side("h", h)
        for name, value in (("cx", cx), ("cy", cy), ("w", w), ("h", h)):
            if not 0 <= value <= 1:
                raise RegionError(
                    f"box {name} is {value:g}; accepted: a share of the image in [0, 1]. In pixels, a box is "
                    "Box.xywh(x, y, width, height) or Box(x1, y1, x2, y2)"
                )
        try:
            width, height = (int(length) for length in image_size)
        except (TypeError, ValueError):
            raise RegionError(f"image_size is {image_size!r}; accepted: (width, height) in pixels") from None
        corners = (cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height
        return cls(*corners, image_size=(width, height))

    @classmethod
    def voc(cls, xmin: float, ymin: float, xmax: float, ymax: float) -> Box:
        """Return a box from its first and last pixels, counted from 1, as Pascal VOC writes it."""
        return cls(_number("xmin", xmin) - 1, _number("ymin", ymin) - 1, xmax, ymax)

    @property
    def kind(self) -> str:
        """What it is called in texts."""
        return "box"

    def __str__(self) -> str:
        """Return the coordinates as a reader would write them."""
        return written(self.corners)

    @property
    def name(self) -> str:
        """The box in a sentence."""
        return f"box {self}"

    @property
    def corners(self) -> Rectangle:
        """(x1, y1, x2, y2) in image pixels."""
        return self.x1, self.y1, self.x2, self.y2

    @property
    def bounds(self) -> Rectangle:
        """The corners."""
        return self.corners

    @property
    def area(self) -> float:
        """The area in square image pixels."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def lines(self) -> Lines:
        """Return the x of the left and the right edge and the y of the top and the bottom one."""
        return np.array([self.x1, self.x2]), np.array([self.y1, self.y2])

    def contains(self, xs: Array, ys: Array) -> Bools:
        """Return which points of the grid with ascending xs and ys lie in the box, (len(ys), len(xs))."""
        inside: Bools = np.outer((ys >= self.y1) & (ys < self.y2), (xs >= self.x1) & (xs < self.x2))
        return inside

    def coverage(self, geometry: Geometry) -> npt.NDArray[np.float64]:
        """Return the share of each input pixel that lies in the box, by area, (H, W) in [0, 1]."""
        width, height = geometry.input_size
        return self.touched(geometry).coverage((height, width))

    def touched(self, geometry: Geometry) -> Touched:
        """Return the input pixels that the box touches, and how much of each lies in it."""
        x1, y1, x2, y2 = geometry.rectangle_to_input(intersection(self.corners, rectangle_of(geometry.image_size)))
        column, columns = _overlap(geometry.input_size[0], x1, x2)
        row, rows = _overlap(geometry.input_size[1], y1, y2)
        return TouchedRectangle((row, column), rows, columns)

    def widened(self, dx: float, dy: float, image_size: tuple[int, int]) -> Box:
        """Return the box widened by dx to the left and right and dy to the top and bottom, within the image."""
        widened = self.x1 - dx, self.y1 - dy, self.x2 + dx, self.y2 + dy
        return Box(*intersection(widened, rectangle_of(image_size)))

    def require_within(self, image_size: tuple[int, int]) -> None:
        """Check that the box reaches outside the image by no more than a rounding, and was not made for another.

        Raises:
            RegionError: It does, or it was.
        """
        if self.image_size is not None and tuple(self.image_size) != tuple(image_size):
            raise RegionError(
                f"box {self} was made for an image of {self.image_size[0]} x {self.image_size[1]} pixels, and this one "
                f"has {image_size[0]} x {image_size[1]}: pass the image that was annotated, or the box of this one"
            )
        require_inside(self, self.corners, image_size)

    def visible_share(self, geometry: Geometry) -> float:
        """Return the share of the box's area that the model saw, in [0, 1].

        Raises:
            RegionError: The box lies outside the image by more than a rounding.
        """
        self.require_within(geometry.image_size)
        x1, y1, x2, y2 = intersection(self.corners, geometry.seen)
        return min(max(x2 - x1, 0.0) * max(y2 - y1, 0.0) / self.area, 1.0)

    def distance(self, point: tuple[float, float], geometry: Geometry) -> float:
        """Return how far a point is from the box, both in image pixels; 0 inside."""
        x, y = point
        return math.hypot(max(self.x1 - x, x - self.x2, 0.0), max(self.y1 - y, y - self.y2, 0.0))

    def outlines(self) -> list[npt.NDArray[np.float64]]:
        """Return the one rectangle that bounds the box, (4, 2) in image pixels."""
        return [np.array([(self.x1, self.y1), (self.x2, self.y1), (self.x2, self.y2), (self.x1, self.y2)])]


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise RegionError(f"box {name} is {value!r}; accepted: a number of image pixels") from None
    if not math.isfinite(number):
        raise RegionError(f"box {name} is {value}; accepted: a finite number of image pixels")
    return number


def _side(name: str, value: Any) -> float:
    number = _number(name, value)
    if number <= 0:
        raise RegionError(f"box {name} is {number:g}, so the box is empty; accepted: a number above 0")
    return number


def _overlap(length: int, start: float, stop: float) -> tuple[int, npt.NDArray[np.float64]]:
    """Return the first pixel of an axis that an interval touches, and the shares of that and the next ones in it."""
    first, after = max(math.floor(start), 0), min(math.ceil(stop), length)
    shares = np.ones(max(after - first, 0))
    if len(shares):  # only at its ends does an interval cover less than a pixel
        shares[-1] = min(after, stop) - max(after - 1, start)
        shares[0] = min(first + 1, stop) - max(first, start)
    return first, shares
