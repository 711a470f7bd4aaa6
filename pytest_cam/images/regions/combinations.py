"""Regions made of regions: union, intersection and complement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from pytest_cam.errors import is_ours
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions.base import Region
from pytest_cam.images.regions.raster import Array, Bools, Lines

__tracebackhide__ = is_ours

# More parts than that are counted, not listed.
_LISTED = 3


@dataclass(frozen=True)
class _Combination(Region):
    parts: tuple[Region, ...]

    is_compound: ClassVar[bool] = True
    word: ClassVar[str]
    sign: ClassVar[str]

    def __post_init__(self) -> None:
        parts: list[Region] = []
        for part in self.parts:
            parts += part.parts if isinstance(part, type(self)) else [part]
        object.__setattr__(self, "parts", tuple(parts))

    def __str__(self) -> str:
        if len(self.parts) > _LISTED:
            return f"{self.word} of {len(self.parts)} regions"
        return f" {self.sign} ".join(part.grouped() for part in self.parts)

    @property
    def name(self) -> str:
        return f"region {self}"

    @property
    def slanted(self) -> bool:
        return any(part.slanted for part in self.parts)

    @property
    def is_rest(self) -> bool:
        every = any if isinstance(self, Union) else all
        return every(part.is_rest for part in self.parts)

    def lines(self) -> Lines:
        xs, ys = zip(*(part.lines() for part in self.parts), strict=True)
        return np.concatenate(xs), np.concatenate(ys)

    def require_within(self, image_size: tuple[int, int]) -> None:
        for part in self.parts:
            part.require_within(image_size)

    def resolved(self, cell: tuple[float, float], image_size: tuple[int, int]) -> Region:
        return replace(self, parts=tuple(part.resolved(cell, image_size) for part in self.parts))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.word, "parts": [part.to_json() for part in self.parts]}


@dataclass(frozen=True)
class Union(_Combination):
    """What lies in any of its parts. Attributes: parts, at least one."""

    word = "union"
    sign = "|"

    @property
    def separate(self) -> tuple[Region, ...]:
        """The parts."""
        return self.parts

    def contains(self, xs: Array, ys: Array) -> Bools:
        """Return which points of the grid lie in any of the parts, (len(ys), len(xs))."""
        inside = np.zeros((len(ys), len(xs)), dtype=bool)
        for part in self.parts:
            rows, columns = part.span(xs, ys)  # each part adds lines to the grid, and most are small beside all of it
            inside[rows, columns] |= part.contains(xs[columns], ys[rows])
        return inside

    def distance(self, point: tuple[float, float], geometry: Geometry) -> float:
        """Return how far a point is from the nearest part, both in image pixels; 0 inside."""
        return min(part.distance(point, geometry) for part in self.parts)


@dataclass(frozen=True)
class Intersection(_Combination):
    """What lies in all of its parts. Attributes: parts, at least one."""

    word = "intersection"
    sign = "&"

    def contains(self, xs: Array, ys: Array) -> Bools:
        """Return which points of the grid lie in all of the parts, (len(ys), len(xs))."""
        inside = self.parts[0].contains(xs, ys)
        for part in self.parts[1:]:
            inside = inside & part.contains(xs, ys)
        return inside


@dataclass(frozen=True)
class Complement(Region):
    """What lies in the image but not in a region.

    Attributes:
        of: The region.
    """

    of: Region

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"~{self.of.grouped()}"

    @property
    def name(self) -> str:
        """The complement in a sentence."""
        return f"region {self}"

    @property
    def slanted(self) -> bool:
        """Whether the region's edges are."""
        return self.of.slanted

    @property
    def is_rest(self) -> bool:
        """Whether it remains around something that does not itself."""
        return not self.of.is_rest

    def lines(self) -> Lines:
        """Return the lines of the region."""
        return self.of.lines()

    def contains(self, xs: Array, ys: Array) -> Bools:
        """Return which points of the grid do not lie in the region."""
        return ~self.of.contains(xs, ys)

    def require_within(self, image_size: tuple[int, int]) -> None:
        """Check that the region can be one of an image of that size."""
        self.of.require_within(image_size)

    def resolved(self, cell: tuple[float, float], image_size: tuple[int, int]) -> Region:
        """Return the complement of the region as it is with cells of that size."""
        return Complement(self.of.resolved(cell, image_size))

    def to_json(self) -> dict[str, Any]:
        """Return the region that is left out."""
        return {"kind": "complement", "of": self.of.to_json()}

    def __invert__(self) -> Region:
        return self.of
