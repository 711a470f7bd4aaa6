"""Straight lines through where pixels come from, and what is left beside them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


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
