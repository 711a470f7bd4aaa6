"""Regions made of regions: union, intersection, complement, and the same ones widened."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions.base import Region
from pytest_cam.images.regions.raster import Array, Bools, Lines

__tracebackhide__ = is_ours

# How finely slanted edges are sampled while they are widened: parts of the width, and at most so many in the image.
_PARTS, _MOST_PARTS = 16, 2048
# More parts than that are counted, not listed.
_LISTED = 3


@dataclass(frozen=True)
class _Combination(Region):
    parts: tuple[Region, ...]

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
        return f" {self.sign} ".join(_within(part) for part in self.parts)

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
        return f"~{_within(self.of)}"

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


@dataclass(frozen=True)
class _Grown(Region):
    """A region and more around it.

    Attributes:
        of: The region.
    """

    of: Region

    def __str__(self) -> str:
        """Return the region and how far it is widened."""
        return f"{_within(self.of)} widened by {self._by}"

    @property
    def name(self) -> str:
        """The widened region in a sentence."""
        return f"{self.of.name} widened by {self._by}"

    @property
    def kind(self) -> str:
        """What the region is called."""
        return self.of.kind

    @property
    def is_rest(self) -> bool:
        """Whether the region is."""
        return self.of.is_rest

    def require_within(self, image_size: tuple[int, int]) -> None:
        """Check that the region, before it is widened, can be one of an image of that size."""
        self.of.require_within(image_size)

    @property
    @abstractmethod
    def _by(self) -> str:
        """How far it is widened, in words."""


@dataclass(frozen=True)
class Dilated(_Grown):
    """A region to be widened by cells of a map that is not known yet; `resolved` carries it out.

    Attributes:
        of: The region.
        cells: How far, in cells of the map, >= 0.
    """

    cells: float

    def __post_init__(self) -> None:
        number = self.cells
        if isinstance(number, bool) or not isinstance(number, Real) or not 0 <= number < math.inf:
            raise RegionError(f"dilate(cells={number!r}); accepted: a number of the map's cells, 0 or more")
        object.__setattr__(self, "cells", float(number))

    @property
    def _by(self) -> str:
        return f"{self.cells:g} cell{'' if self.cells == 1 else 's'}"

    def lines(self) -> Lines:
        """Raise: where its edges are depends on the map."""
        raise NotImplementedError("a region widened by cells has edges only once it is resolved")

    def contains(self, xs: Array, ys: Array) -> Bools:
        """Raise: what lies in it depends on the map."""
        raise NotImplementedError("a region widened by cells has points only once it is resolved")

    def resolved(self, cell: tuple[float, float], image_size: tuple[int, int]) -> Region:
        """Return the region widened for cells of that size."""
        of = self.of.resolved(cell, image_size)
        # What is widened is never checked again, so it is now.
        of.require_within(image_size)
        return of.widened(self.cells * cell[0], self.cells * cell[1], image_size) if self.cells else of

    def to_json(self) -> dict[str, Any]:
        """Return the region and how far it is widened."""
        return {"kind": "dilated", "cells": self.cells, "of": self.of.to_json()}


@dataclass(frozen=True)
class Widened(_Grown):
    """A region widened by image pixels, within the image: what a box of twice that size around it would touch.

    Attributes:
        of: The region.
        dx: How far to the left and right, in image pixels, > 0.
        dy: How far to the top and bottom, in image pixels, > 0.
        image_size: (width, height) of the image.
    """

    dx: float
    dy: float
    image_size: tuple[int, int]

    @property
    def _by(self) -> str:
        return f"{self.dx:.0f} x {self.dy:.0f} px"

    def lines(self) -> Lines:
        """Return where the cells of the region begin and end once they are widened."""
        xs, ys = self._cells()
        return np.concatenate([xs - self.dx, xs + self.dx]), np.concatenate([ys - self.dy, ys + self.dy])

    def contains(self, xs: Array, ys: Array) -> Bools:
        """Return which points of the grid are that near to the region, (len(ys), len(xs))."""
        columns, rows = self._cells()
        inside = self.of.contains((columns[:-1] + columns[1:]) / 2, (rows[:-1] + rows[1:]) / 2)
        along = _any_near(inside, columns, xs, self.dx)
        near: Bools = _any_near(along.T, rows, ys, self.dy).T
        return near

    def to_json(self) -> dict[str, Any]:
        """Return the region and how far it is widened."""
        return {"kind": "widened", "by": [self.dx, self.dy], "of": self.of.to_json()}

    def _cells(self) -> Lines:
        """Return the edges of the cells in which the region is told apart, (m + 1,) and (n + 1,)."""
        edges = []
        for lines, length, by in zip(self.of.lines(), self.image_size, (self.dx, self.dy), strict=True):
            between = math.ceil(min(length / by * _PARTS, _MOST_PARTS)) if self.of.slanted else 1
            edges.append(np.unique(np.append(lines.clip(0, length), np.linspace(0, length, between + 1))))
        return edges[0], edges[1]


def _any_near(inside: Bools, edges: Array, at: Array, reach: float) -> Bools:
    """Return for each row, and each place along it, whether a cell within reach is set, (n, len(at))."""
    total = np.pad(np.cumsum(inside, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    first = np.searchsorted(edges, at - reach, side="right") - 1
    after = np.searchsorted(edges, at + reach, side="left")
    last = inside.shape[1]
    near: Bools = total[:, after.clip(0, last)] > total[:, first.clip(0, last)]
    return near


def _within(part: Region) -> str:
    return f"({part})" if isinstance(part, (_Combination, _Grown)) else str(part)
