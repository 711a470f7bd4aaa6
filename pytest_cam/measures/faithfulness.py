"""Whether a score depends on pixels in the order in which a map ranks them: curves, their areas, and replaced pixels.

These compare ways of explaining one model. They say nothing of whether the model is right: networks with random weights
have reached better areas than trained ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import VacuousError, is_ours

__tracebackhide__ = is_ours

Ranks = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# Of the eight neighbours of a pixel: (dy, dx, weight), as in ROAD, section 4.2.
_NEIGHBOURS = tuple(
    (dy, dx, 1 / 6 if dy == 0 or dx == 0 else 1 / 12) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)
)
_NOISE = 0.01


def ranks_of(cam: npt.ArrayLike, rng: np.random.Generator) -> Ranks:
    """Return the rank of each pixel, (H, W): 0 for the one with the highest value.

    Args:
        cam: The map on the input's grid, (H, W).
        rng: Decides between pixels of the same value, so that a map of zeros has no order of its own.
    """
    values = np.asarray(cam, dtype=np.float64)
    order = np.lexsort((rng.random(values.size), -values.ravel()))
    ranks = np.empty(values.size, dtype=np.int64)
    ranks[order] = np.arange(values.size)
    return ranks.reshape(values.shape)


def highest(ranks: Ranks, share: float) -> Bools:
    """Return which pixels are the highest-ranked share of all, (H, W)."""
    found: Bools = ranks < round(share * ranks.size)
    return found


def area(shares: Sequence[float] | Floats, curve: Sequence[float] | Floats) -> float:
    """Return the area under a curve over shares of the pixels, divided by its width: the curve's mean height.

    With shares from 0 to 1 this is the AUC of deletion and insertion in RISE (arXiv 1806.07421, section 4.2).

    Args:
        shares: Ascending, in [0, 1], at least two.
        curve: The score where that share of the pixels is replaced, or put in.
    """
    x, y = np.asarray(shares, dtype=np.float64), np.asarray(curve, dtype=np.float64)
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0]))


def share_beaten(value: float, others: Sequence[float] | Floats, *, lower_is_better: bool) -> float:
    """Return the share of other areas that are worse than one, in [0, 1]; an equal one is not."""
    found = np.asarray(others, dtype=np.float64)
    return float((found > value).mean() if lower_is_better else (found < value).mean())


def imputed(pixels: Floats, missing: Bools, rng: np.random.Generator, noise: float = _NOISE) -> Floats:
    """Replace pixels by noisy linear imputation: ROAD, arXiv 2202.00449, section 4.2.

    Each missing pixel is the weighted mean of its eight neighbours, 1/6 for those beside it and 1/12 for the diagonal
    ones, whether these are known or missing too: one sparse system of linear equations. What is left of where pixels
    were taken out is so little that a model cannot read the shape of the hole.

    Args:
        pixels: (C, H, W).
        missing: Which ones are replaced, (H, W); not all.
        rng: Where the noise comes from.
        noise: Its standard deviation as a share of that of each channel.

    Returns:
        (C, H, W), with known pixels as they were.

    Raises:
        VacuousError: No pixel is known.
    """
    if missing.all():
        raise VacuousError("no pixel is known from which the missing ones could be imputed")
    filled = np.array(pixels, dtype=np.float64)
    if missing.any():
        filled[:, missing] = _solved(filled, missing).T
        spread = noise * filled.std(axis=(1, 2))
        filled[:, missing] += spread[:, None] * rng.standard_normal((len(filled), int(missing.sum())))
    return filled


def _solved(pixels: Floats, missing: Bools) -> Floats:
    """Return the missing values, (n, C), without noise."""
    from scipy import sparse

    rows, columns = np.nonzero(missing)
    number = np.full(missing.shape, -1)
    number[missing] = np.arange(len(rows))
    total, known = np.zeros(len(rows)), np.zeros((len(rows), len(pixels)))
    at: list[npt.NDArray[np.int64]] = []
    to: list[npt.NDArray[np.int64]] = []
    weights: list[Floats] = []
    for dy, dx, weight in _NEIGHBOURS:
        y, x = rows + dy, columns + dx
        inside = np.flatnonzero((y >= 0) & (y < missing.shape[0]) & (x >= 0) & (x < missing.shape[1]))
        total[inside] += weight
        neighbour = number[y[inside], x[inside]]
        is_known, is_missing = inside[neighbour < 0], inside[neighbour >= 0]
        known[is_known] += weight * pixels[:, y[is_known], x[is_known]].T
        at.append(is_missing)
        to.append(neighbour[neighbour >= 0])
        weights.append(np.full(len(is_missing), -weight))
    places = np.concatenate([*at, np.arange(len(rows))]), np.concatenate([*to, np.arange(len(rows))])
    matrix = sparse.csc_matrix((np.concatenate([*weights, total]), places), shape=(len(rows), len(rows)))
    solved: Floats = sparse.linalg.splu(matrix).solve(known)
    return solved
