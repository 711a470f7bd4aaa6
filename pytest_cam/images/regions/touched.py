"""The input pixels that a region touches, and how much of each lies in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from pytest_cam.images.regions.raster import Array


@dataclass(frozen=True, eq=False)
class Touched(ABC):
    """The share of each input pixel that lies in a region, in a rectangle outside of which it is 0.

    Attributes:
        first: The row and the column of the rectangle's first pixel.
    """

    first: tuple[int, int]

    @property
    @abstractmethod
    def shares(self) -> Array:
        """The shares in the rectangle, in [0, 1]."""

    @property
    @abstractmethod
    def area(self) -> float:
        """The sum of the shares: the region's area in square input pixels."""

    @abstractmethod
    def folded(self, rows: Array, columns: Array) -> Array:
        """Return rows^T M columns for M, the shares of all pixels (H, W), and matrices (H, h) and (W, w): (h, w)."""

    def coverage(self, size: tuple[int, int]) -> Array:
        """Return the shares of all pixels of an input of that size (H, W)."""
        coverage = np.zeros(size)
        (row, column), shares = self.first, self.shares
        coverage[row : row + shares.shape[0], column : column + shares.shape[1]] = shares
        return coverage


@dataclass(frozen=True, eq=False)
class TouchedPixels(Touched):
    """Those of any region.

    Attributes:
        pixels: The shares in the rectangle.
    """

    pixels: Array

    @classmethod
    def of(cls, coverage: Array) -> TouchedPixels:
        """Return the smallest part of the shares of all pixels, (H, W), outside of which they are 0."""
        rows, columns = np.flatnonzero(coverage.any(axis=1)), np.flatnonzero(coverage.any(axis=0))
        if not len(rows):
            return cls((0, 0), coverage)
        part = coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls((int(rows[0]), int(columns[0])), part)

    @property
    def shares(self) -> Array:
        """See `Touched`."""
        return self.pixels

    @property
    def area(self) -> float:
        """See `Touched`."""
        return float(self.pixels.sum())

    def folded(self, rows: Array, columns: Array) -> Array:
        """See `Touched`."""
        (row, column), (height, width) = self.first, self.pixels.shape
        folded: Array = rows[row : row + height].T @ self.pixels @ columns[column : column + width]
        return folded


@dataclass(frozen=True, eq=False)
class TouchedRectangle(Touched):
    """Those of an upright rectangle, whose share of a pixel is that of the pixel's row times that of its column.

    Attributes:
        rows: The shares of the rows.
        columns: The shares of the columns.
    """

    rows: Array
    columns: Array

    @property
    def shares(self) -> Array:
        """See `Touched`."""
        shares: Array = np.outer(self.rows, self.columns)
        return shares

    @property
    def area(self) -> float:
        """See `Touched`."""
        return float(self.rows.sum() * self.columns.sum())

    def folded(self, rows: Array, columns: Array) -> Array:
        """See `Touched`."""
        row, column = self.first
        down = self.rows @ rows[row : row + len(self.rows)]
        along = self.columns @ columns[column : column + len(self.columns)]
        folded: Array = down[:, None] * along
        return folded
