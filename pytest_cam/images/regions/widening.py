"""Regions and more around them: by cells of a map, or by pixels."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.regions.base import Region
from pytest_cam.images.regions.raster import Array, Bools, Lines

__tracebackhide__ = is_ours

# How finely slanted edges are sampled while they are widened: parts of the width, and at most so many in the image.
_PARTS, _MOST_PARTS = 16, 2048


@dataclass(frozen=True)
class _Grown(Region):
    """A region and more around it.

    Attributes:
        of: The region.
    """

    is_compound: ClassVar[bool] = True

    of: Region

    def __str__(self) -> str:
        """Return the region and how far it is widened."""
        return f"{self.of.grouped()} widened by {self._by}"

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
