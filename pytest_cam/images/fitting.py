"""Straight lines through where pixels come from, what is left beside them, and what is exact in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Line:
    """Where input pixels come from along one axis of the image.

    Attributes:
        source: The image coordinate for each usable pixel, (N,).
        inner: Which of them lie inside the ramp, away from its ends, (N,).
        level: One grey level of the ramp in image pixels: finer than that it cannot tell.
        ends: Where the ramp begins and ends, in image pixels.
    """

    source: Array
    inner: npt.NDArray[np.bool_]
    level: float
    ends: tuple[float, float]


def least_squares(design: Array, values: Array) -> Array:
    """Return (a, b, c): the values are a u + b v + c, as nearly as can be, for each (u, v, 1) of the design, (N, 3)."""
    # About the middle, so that an input whose pixels lie in one line gets no slope across it.
    middle = design.mean(axis=0)
    slopes = np.linalg.lstsq((design - middle)[:, :2], values - values.mean(), rcond=None)[0]
    return np.array([*slopes, values.mean() - slopes @ middle[:2]], dtype=np.float64)


def bend(design: Array, residuals: Array) -> float:
    """Return how far residuals follow a smooth curve: the steps of repeated pixels do not, a warp does."""
    u, v = (2 * design[:, :2] / design[:, :2].max(axis=0) - 1).T
    curves = np.stack([np.ones_like(u), u, v, u * v, u**2, v**2, u**3, v**3], axis=1)
    followed = curves @ np.linalg.lstsq(curves, residuals, rcond=None)[0]
    return float(np.quantile(np.abs(followed), 0.95))


def snap(row: Array, input_size: tuple[int, int], length: int) -> None:
    """Make exact, in place, what a fit misses by a fraction of an input pixel: whole pixels, and the image's edges.

    Args:
        row: (a, b, c), of which a or b is 0: the image coordinate is a u + b v + c for the input pixel (u, v).
        input_size: (width, height) of the input.
        length: The image's, along that axis.
    """
    column = int(np.argmax(np.abs(row[:2])))
    _snap_to_pixels(row, column, input_size[column])
    _snap_to_edges(row, column, input_size[column], length)


def _snap_to_pixels(row: Array, column: int, pixels: int) -> None:
    """Make a crop, a padding or a flip exact: whole pixels, and no change of scale."""
    sign = np.sign(row[column])
    # A real change of scale moves the far edge by a whole pixel at least.
    if abs(row[column] - sign) * pixels > 0.5:
        return
    middle = row[column] * pixels / 2 + row[2]
    offset = middle - sign * pixels / 2
    if abs(offset - round(offset)) < 0.25:
        row[column], row[2] = sign, round(offset)


def _snap_to_edges(row: Array, column: int, pixels: int, length: int) -> None:
    """Put an edge of the input exactly at the edge of the image that it is nearest to, if a crop lies not between.

    A crop or a padding moves an edge by a whole input pixel at least.
    """
    near = 0.5 * abs(row[column])
    start, stop = (
        next((edge for edge in (0.0, float(length)) if abs(end - edge) < near), end)
        for end in (row[2], row[column] * pixels + row[2])
    )
    row[column], row[2] = (stop - start) / pixels, start
