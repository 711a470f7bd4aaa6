"""What every kind of region can do."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.geometry import Geometry, Rectangle
from pytest_cam.images.regions.raster import Array, Bools, Lines, Raster
from pytest_cam.images.regions.touched import Touched, TouchedPixels

__tracebackhide__ = is_ours

# Annotation tools round; a corner this many pixels outside the image is one of their roundings.
_ROUNDING = 1.0


class Region(ABC):
    """A set of pixels of the image, not of the input.

    `a | b` is what lies in either, `a & b` what lies in both, and `~a` what lies in the image but not in a. Where a
    region is taken, so is what `as_region` makes one of: four numbers, several boxes, torchvision's `BoundingBoxes`.

    Attributes:
        is_compound: Whether it is made of others, and stands in brackets within a further one.
    """

    is_compound: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """What it is called in texts."""
        return "region"

    @property
    def slanted(self) -> bool:
        """Whether it has edges that are neither upright nor level: those are sampled finely."""
        return False

    @property
    def separate(self) -> tuple[Region, ...]:
        """What a picture must show all of, however small: the parts of a union, else the region itself."""
        return (self,)

    @property
    def is_rest(self) -> bool:
        """Whether it is what remains of the image around something: then a crop may take any part of it but all."""
        return False

    @property
    def bounds(self) -> Rectangle | None:
        """What lies around all of it, (x1, y1, x2, y2) in image pixels; None where that is not known."""
        return None

    @abstractmethod
    def lines(self) -> Lines:
        """Return the x of all upright edges and the y of all level ones, in image pixels."""

    @abstractmethod
    def contains(self, xs: Array, ys: Array) -> Bools:
        """Return which points of the grid with ascending xs and ys lie in the region, (len(ys), len(xs))."""

    @abstractmethod
    def require_within(self, image_size: tuple[int, int]) -> None:
        """Check that the region can be one of an image of that (width, height).

        Raises:
            RegionError: It reaches outside the image by more than a rounding, or was made for another size.
        """

    @property
    def name(self) -> str:
        """The region in a sentence."""
        return str(self)

    def grouped(self) -> str:
        """Return it as it stands within another one."""
        return f"({self})" if self.is_compound else str(self)

    def span(self, xs: Array, ys: Array) -> tuple[slice, slice]:
        """Return the rows and the columns of a grid with ascending xs and ys beside which none of it lies."""
        if self.bounds is None:
            return slice(None), slice(None)
        x1, y1, x2, y2 = self.bounds
        rows, columns = (
            (np.searchsorted(at, low), np.searchsorted(at, high, "right"))
            for at, low, high in ((ys, y1, y2), (xs, x1, x2))
        )
        return slice(*rows), slice(*columns)

    def outlines(self) -> list[npt.NDArray[np.float64]]:
        """Return the closed polygons (N, 2) in image pixels that bound the region, where it knows them, else none."""
        return []

    def to_json(self) -> dict[str, Any]:
        """Return the region as plain values: "kind" and, of kinds that do not say more, the outlines."""
        return {"kind": self.kind, "outlines": [points.tolist() for points in self.outlines()]}

    def coverage(self, geometry: Geometry) -> npt.NDArray[np.float64]:
        """Return the share of each input pixel that lies in the region, by area, (H, W) in [0, 1]."""
        return Raster.of(self, geometry).coverage()

    def touched(self, geometry: Geometry) -> Touched:
        """Return the input pixels that the region touches, and how much of each lies in it."""
        return TouchedPixels.of(self.coverage(geometry))

    def visible_share(self, geometry: Geometry) -> float:
        """Return the share of the region's area that the model saw, in [0, 1].

        Raises:
            RegionError: The region lies outside the image, was made for another size, or is empty.
        """
        self.require_within(geometry.image_size)
        share = Raster.of(self, geometry).visible_share()
        if math.isnan(share):
            raise RegionError(
                f"{self.name} is empty: no part of the image lies in it, so nothing can be measured there"
            )
        return share

    def distance(self, point: tuple[float, float], geometry: Geometry) -> float:
        """Return how far a point is from the region, both in image pixels; 0 inside.

        It is exact where all edges are upright or level; slanted ones are sampled, finer than an input pixel.
        """
        (a, b, _), (d, e, _) = geometry.inverse
        x, y = geometry.to_input([point])[0].tolist()
        return Raster.of(self, geometry).distance((x, y), (abs(a) + abs(d), abs(b) + abs(e)))

    def dilate(self, cells: float = 1) -> Region:
        """Return the region widened to every side by so many cells of the map that it will be measured with.

        Args:
            cells: How far, in cells, >= 0.

        Raises:
            RegionError: `cells` is no such number.
        """
        from pytest_cam.images.regions.widening import Dilated

        return Dilated(self, cells)

    def resolved(self, cell: tuple[float, float], image_size: tuple[int, int]) -> Region:
        """Return the region with every `dilate` carried out for cells of that (width, height) in image pixels."""
        return self

    def widened(self, dx: float, dy: float, image_size: tuple[int, int]) -> Region:
        """Return the region widened by that many image pixels to each side, within the image."""
        from pytest_cam.images.regions.widening import Widened

        return Widened(self, dx, dy, image_size)

    def __or__(self, other: Any) -> Region:
        from pytest_cam.images.regions.accepting import as_region
        from pytest_cam.images.regions.combinations import Union

        return Union((self, as_region(other)))

    def __and__(self, other: Any) -> Region:
        from pytest_cam.images.regions.accepting import as_region
        from pytest_cam.images.regions.combinations import Intersection

        return Intersection((self, as_region(other)))

    def __invert__(self) -> Region:
        from pytest_cam.images.regions.combinations import Complement

        return Complement(self)


def written(rectangle: Rectangle) -> str:
    """Return (x1, y1, x2, y2) as a reader would write it."""
    return f"({', '.join(f'{value:.1f}'.removesuffix('.0') for value in rectangle)})"


def require_inside(region: Region, bounds: Rectangle, image_size: tuple[int, int]) -> None:
    """Check that bounds (x1, y1, x2, y2) reach outside the image by no more than a rounding, and are in pixels.

    Raises:
        RegionError: They do, or they lie within the first pixel, as shares of the image's size do.
    """
    require_pixels(region, bounds, image_size, "the image")
    width, height = image_size
    out = max(-bounds[0], -bounds[1], bounds[2] - width, bounds[3] - height)
    if out > _ROUNDING:
        kinds = "Polygons" if region.kind == "polygon" else "Boxes"
        raise RegionError(
            f"{region.name} lies outside the image, which is {width} x {height} pixels, by {out:.1f}. {kinds} are "
            "in pixels of the image, not of the model's input, and not normalised"
        )


def require_pixels(region: Region, bounds: Rectangle, size: tuple[int, int], of: str) -> None:
    """Check that bounds (x1, y1, x2, y2) are in pixels.

    Args:
        region: The region.
        bounds: What lies around it.
        size: (width, height) of what it lies in.
        of: What that is called.

    Raises:
        RegionError: They lie within the first pixel, as shares of the size do.
    """
    width, height = size
    if max(bounds) <= 1 < min(size) and any(value != round(value) for value in bounds):
        raise RegionError(
            f"{region.name} lies within the first pixel of {of}, which is {width} x {height} pixels: its coordinates "
            f"look like shares of its size. Accepted: pixels, here x up to {width} and y up to {height}; "
            "Box.cxcywh_normalized(...) takes shares"
        )
