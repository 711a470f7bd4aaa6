"""Is one map like another? Cosine, Pearson correlation, greatest difference and the earth mover's distance.

Maps are (h, w), >= 0 and not zero everywhere. Where two have different grids, both are first brought to the finer one:
as many rows and as many columns as the finer of the two has, bilinear with align_corners=False. No number here depends
on the scale of either map, and none is ever NaN.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import EmptyMapError, MapError, NonFiniteError, is_ours
from pytest_cam.images.drawing import opencv
from pytest_cam.measures.localization import upsample

__tracebackhide__ = is_ours

# Between which numbers these lie, for maps, which are nowhere negative.
COSINE_RANGE, PEARSON_RANGE = (0.0, 1.0), (-1.0, 1.0)

Array = npt.NDArray[np.float64]

# OpenCV ends its search for the cheapest transport after 500 steps. Up to this many cells along a side the cost is
# then within 5e-4 of the diagonal of the least one, in 0.1 to 0.4 s; beyond, the error and the time grow fast.
_LONGEST_SIDE = 24
# What differs by less of the maximum is rounding in half precision, and in the four digits that baselines keep.
_PATTERN = 1e-3


def cosine(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return the cosine of the angle between two maps, in [0, 1]: 1 for equal maps, 0 for maps that nowhere overlap.

    It is high for any two maps that are nowhere near zero, like or not: do not judge by it alone.

    Args:
        first: A map (h, w).
        second: Another, on any grid.

    Raises:
        MapError: One is not two-dimensional, or negative somewhere.
        NonFiniteError: One holds NaN or infinity.
        EmptyMapError: One is zero everywhere.
    """
    a, b = on_finer_grid(first, second)
    return min(1.0, float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))))


def pearson(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return Pearson's correlation of two maps over the cells, in [-1, 1].

    A map that is the same everywhere has no pattern that could agree with anything: its correlation with any map,
    itself included, is 0.

    Args:
        first: A map (h, w).
        second: Another, on any grid.

    Raises:
        MapError: One is not two-dimensional, or negative somewhere.
        NonFiniteError: One holds NaN or infinity.
        EmptyMapError: One is zero everywhere.
    """
    # Asked before any resampling, whose rounding would give a constant map a pattern.
    if any(np.ptp(_checked(cam)) == 0 for cam in (first, second)):
        return 0.0
    a, b = (cam - cam.mean() for cam in on_finer_grid(first, second))
    spread = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip((a * b).sum() / spread, -1.0, 1.0)) if spread > 0 else 0.0


def max_difference(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return the greatest difference in any cell of two maps, each divided by its maximum, in [0, 1].

    Args:
        first: A map (h, w).
        second: Another, on any grid.

    Raises:
        MapError: One is not two-dimensional, or negative somewhere.
        NonFiniteError: One holds NaN or infinity.
        EmptyMapError: One is zero everywhere.
    """
    a, b = on_finer_grid(first, second)
    return float(np.abs(a - b).max())


def emd(first: npt.ArrayLike, second: npt.ArrayLike, extent: tuple[float, float] | None = None) -> float:
    """Return the earth mover's distance of two maps as a share of the diagonal, in [0, 1).

    Each map is scaled to sum 1; the distance is the least total of mass times way that turns the one into the other,
    with straight ways between the centres of cells (Rubner et al., IJCV 2000). It grows with how far attention moved,
    where the other numbers only see that it is no longer there.

    Of maps with more than 24 cells along a side, blocks of cells are summed to one first, at most 24 along a side;
    the distance then changes by at most the diagonal of one block.

    Args:
        first: A map (h, w).
        second: Another, on any grid.
        extent: (height, width) of what the maps cover, in any unit of length; None takes cells for square.

    Raises:
        MapError: One is not two-dimensional, or negative somewhere.
        NonFiniteError: One holds NaN or infinity.
        EmptyMapError: One is zero everywhere.
        DependencyError: OpenCV does not import here.
    """
    a, b = on_finer_grid(first, second)
    height, width = extent or a.shape
    block = -(-max(a.shape) // _LONGEST_SIDE)
    # Ways are along straight lines, so what is in place already need not move: only what one map has more of does.
    moved = _summed(a / a.sum() - b / b.sum(), block)
    centres = np.stack(
        np.meshgrid(
            _centres(a.shape[0], block) * height / a.shape[0],
            _centres(a.shape[1], block) * width / a.shape[1],
            indexing="ij",
        ),
        axis=-1,
    )
    # Of two maps alike, rounding is all that is left.
    share = float(np.maximum(moved, 0).sum())
    if share < 1e-12:
        return 0.0
    cv2 = opencv()
    ground = np.hypot(height, width)
    surplus, deficit = (_signature(part, centres / ground) for part in (moved, -moved))
    return share * float(cv2.EMD(surplus, deficit, cv2.DIST_L2)[0])


def is_flat(cam: npt.ArrayLike) -> bool:
    """Return whether a map is the same everywhere, to a thousandth of its maximum, so that nothing correlates with it.

    Args:
        cam: A map (h, w).

    Raises:
        MapError: It is not two-dimensional, or negative somewhere.
        NonFiniteError: It holds NaN or infinity.
        EmptyMapError: It is zero everywhere.
    """
    values = _checked(cam)
    return bool(np.ptp(values) <= _PATTERN * values.max())


def on_finer_grid(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Array, Array]:
    """Return two maps on one grid, each divided by its maximum there.

    Args:
        first: A map (h, w).
        second: Another, on any grid.

    Raises:
        MapError: One is not two-dimensional, or negative somewhere.
        NonFiniteError: One holds NaN or infinity.
        EmptyMapError: One is zero everywhere.
    """
    a, b = _checked(first), _checked(second)
    grid = max(a.shape[0], b.shape[0]), max(a.shape[1], b.shape[1])
    a, b = (cam if cam.shape == grid else upsample(cam, grid) for cam in (a, b))
    return a / a.max(), b / b.max()


def _checked(cam: npt.ArrayLike) -> Array:
    values = np.asarray(cam, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise MapError(f"a map has shape {values.shape}; accepted: (h, w), two-dimensional")
    if not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise NonFiniteError(f"a map has NaN or infinity in {bad} of {values.size} cells; accepted: finite values")
    if values.min() < 0:
        raise MapError(f"a map is negative, {values.min():.4g} at its lowest; accepted: values >= 0, as after a ReLU")
    if values.max() == 0:
        raise EmptyMapError("a map is zero everywhere, so there is nothing to compare")
    return values


def _summed(cells: Array, block: int) -> Array:
    by_rows = np.add.reduceat(cells, np.arange(0, cells.shape[0], block), axis=0)
    summed: Array = np.add.reduceat(by_rows, np.arange(0, cells.shape[1], block), axis=1)
    return summed


def _centres(cells: int, block: int) -> Array:
    starts = np.arange(0, cells, block)
    return (starts + np.minimum(starts + block, cells)) / 2


def _signature(mass: Array, centres: Array) -> npt.NDArray[np.float32]:
    """Return what OpenCV calls a signature: rows of (mass, y, x), of the cells with any; the masses sum to 1."""
    some = mass > 0
    total = mass[some].sum()
    return np.column_stack([mass[some] / total, centres[some]]).astype(np.float32)
