"""The affine map between image pixels and input pixels, whatever the preprocess.

Coordinates are continuous: pixel (i, j) covers [i, i + 1) x [j, j + 1), its centre is (i + 0.5, j + 0.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from pytest_cam.errors import GeometryError, PreprocessError, is_ours
from pytest_cam.randomness import RandomState

__tracebackhide__ = is_ours

Points = npt.NDArray[np.float64]
Rectangle = tuple[float, float, float, float]
Preprocess = Callable[[Image.Image], torch.Tensor]

# How far a fitted pixel may lie from where the ramp says it is, in input pixels.
_TOLERANCE = 1.0
# A random preprocess that is fair between two outcomes is missed once in 2 ** (_REPEATS - 1) times.
_REPEATS = 12


@dataclass(frozen=True)
class Geometry:
    """How image pixels become input pixels: input = matrix @ (x, y, 1), axis-aligned.

    Attributes:
        image_size: (width, height) of the user's image.
        input_size: (width, height) of the model's input.
        matrix: Two rows of three numbers; flips and right-angle turns are allowed, shear is not.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]

    @classmethod
    def identity(cls, size: tuple[int, int]) -> Geometry:
        """Return the geometry of a model input, which is its own image."""
        return cls(size, size, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))

    @cached_property
    def inverse(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The map from input pixels back to image pixels, as two rows of three numbers."""
        full = np.linalg.inv(np.vstack([self.matrix, (0.0, 0.0, 1.0)]))
        first, second = full[:2].tolist()
        return tuple(first), tuple(second)

    def to_input(self, points: npt.ArrayLike) -> Points:
        """Carry image points (N, 2) to input points (N, 2)."""
        return _apply(self.matrix, points)

    def to_image(self, points: npt.ArrayLike) -> Points:
        """Carry input points (N, 2) to image points (N, 2)."""
        return _apply(self.inverse, points)

    def rectangle_to_input(self, rectangle: Rectangle) -> Rectangle:
        """Carry an image rectangle (x1, y1, x2, y2) to the input, not clipped."""
        return _corners(self.to_input(np.reshape(rectangle, (2, 2))))

    def rectangle_to_image(self, rectangle: Rectangle) -> Rectangle:
        """Carry an input rectangle (x1, y1, x2, y2) to the image, not clipped."""
        return _corners(self.to_image(np.reshape(rectangle, (2, 2))))

    @property
    def seen(self) -> Rectangle:
        """The part of the image that the model sees, in image pixels."""
        x1, y1, x2, y2 = self.rectangle_to_image((0.0, 0.0, *self.input_size))
        width, height = self.image_size
        return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))

    def cell_in_image(self, grid: tuple[int, int]) -> tuple[float, float]:
        """Return (width, height) in image pixels of one cell of a map with grid (rows, columns)."""
        cell = self.input_size[0] / grid[1], self.input_size[1] / grid[0]
        x1, y1, x2, y2 = self.rectangle_to_image((0.0, 0.0, *cell))
        return x2 - x1, y2 - y1


def _apply(matrix: npt.ArrayLike, points: npt.ArrayLike) -> Points:
    rows = np.asarray(matrix, dtype=np.float64)
    result: Points = np.asarray(points, dtype=np.float64) @ rows[:, :2].T + rows[:, 2]
    return result


def _corners(points: Points) -> Rectangle:
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2


_found: WeakKeyDictionary[Preprocess, dict[tuple[int, int], Geometry]] = WeakKeyDictionary()


def geometry_of(preprocess: Preprocess, image_size: tuple[int, int]) -> Geometry:
    """Find how a deterministic preprocess moves pixels, by running it on images whose pixels say where they are.

    Black and white images undo the per-channel scale and offset; two grey ramps, along x and along y, then
    tell for each input pixel where in the image it came from, and a least-squares fit gives the affine map.
    Padding, where black and white look alike, takes no part. The result is kept for each (preprocess, size).

    Args:
        preprocess: The callable that turns an RGB PIL image into a tensor (C, H, W).
        image_size: (width, height) of the image in pixels.

    Returns:
        The geometry, right to a fraction of an input pixel.

    Raises:
        GeometryError: The preprocess is random, is not affine, or turns by other than right angles.
    """
    try:
        known = _found.setdefault(preprocess, {})
    except TypeError:  # neither hashable nor weakly referable: nothing to remember it by
        return _probe(preprocess, image_size)
    if image_size not in known:
        known[image_size] = _probe(preprocess, image_size)
    return known[image_size]


def _probe(preprocess: Preprocess, size: tuple[int, int]) -> Geometry:
    width, height = size
    if width < 2 or height < 2:
        raise GeometryError(f"an image of {width} x {height} pixels is too small to find where its pixels go")
    black = _run(preprocess, np.zeros((height, width)))
    span = _run(preprocess, np.full((height, width), 255.0)) - black
    steps_x, steps_y = np.linspace(0, 255, width), np.linspace(0, 255, height)
    along_x = _run_repeatedly(preprocess, np.broadcast_to(steps_x, (height, width)))
    along_y = _run_repeatedly(preprocess, np.broadcast_to(steps_y[:, None], (height, width)))
    if not black.shape == span.shape == along_x.shape == along_y.shape:
        raise GeometryError(f"the preprocess {_name(preprocess)} gives inputs of different sizes for one image size")

    peak = span.max(axis=(1, 2), keepdims=True)
    usable = ((peak > 0) & (span >= 0.995 * peak)).all(axis=0)
    if usable.sum() < 4:
        raise GeometryError(
            f"where the pixels go in the preprocess {_name(preprocess)} cannot be found: its output does not "
            "grow with brightness. Pass a tensor that is model input already, with the region in its pixels"
        )
    share = np.where(span > 0, span, 1.0)
    source_x = ((along_x - black) / share).mean(axis=0) * (width - 1) + 0.5
    source_y = ((along_y - black) / share).mean(axis=0) * (height - 1) + 0.5
    rows = _fit(source_x, usable, width, preprocess), _fit(source_y, usable, height, preprocess)
    return _axis_aligned(rows, size, (black.shape[2], black.shape[1]), preprocess)


def _run(preprocess: Preprocess, grey: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    image = Image.fromarray(np.repeat(grey.round().astype(np.uint8)[:, :, None], 3, axis=2))
    values: npt.NDArray[np.float64] = as_input(preprocess(image), preprocess).detach().cpu().double().numpy()
    return values


def _run_repeatedly(preprocess: Preprocess, grey: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    before = RandomState()
    first = _run(preprocess, grey)
    repeats = 1 if before.is_current() else _REPEATS
    for _ in range(repeats):
        again = _run(preprocess, grey)
        if again.shape != first.shape or not np.array_equal(again, first):
            raise GeometryError(
                f"the preprocess {_name(preprocess)} is random: two runs on one image differ. An attention test "
                "needs the one that is used for evaluation, without augmentation"
            )
    return first


def as_input(output: object, preprocess: Preprocess) -> torch.Tensor:
    """Return what a preprocess gave as a tensor (C, H, W).

    Raises:
        PreprocessError: It is not a floating point tensor (C, H, W) or (1, C, H, W).
    """
    if isinstance(output, torch.Tensor) and output.is_floating_point():
        if output.ndim == 4 and output.shape[0] == 1:
            output = output[0]
        if output.ndim == 3 and 0 not in output.shape:
            return output
    given = type(output).__name__
    if isinstance(output, torch.Tensor):
        given = f"{output.dtype} tensor {tuple(output.shape)}"
    raise PreprocessError(
        f"the preprocess {_name(preprocess)} returned a {given}; accepted: a floating point tensor (C, H, W)"
    )


def _fit(
    source: npt.NDArray[np.float64], usable: npt.NDArray[np.bool_], length: int, preprocess: Preprocess
) -> npt.NDArray[np.float64]:
    rows, columns = np.nonzero(usable)
    design = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
    values = source[usable]
    # At the image's own border a resize has only half its neighbours, and an enlarged ramp is flat there.
    inner = (values > 0.5 + 0.02 * length) & (values < length - 0.5 - 0.02 * length)
    if inner.sum() >= 4:
        design, values = design[inner], values[inner]
    solution: npt.NDArray[np.float64] = np.linalg.lstsq(design, values, rcond=None)[0].astype(np.float64)
    step = max(float(np.abs(solution[:2]).max()), 1e-9)
    # One grey level is this many image pixels: finer than that the ramp cannot tell.
    level = length / 255
    off = np.quantile(np.abs(design @ solution - values), 0.95)
    if off > _TOLERANCE * step + level:
        raise GeometryError(
            f"the preprocess {_name(preprocess)} is not affine: pixels land up to {off / step:.1f} input pixels "
            "from a straight line. Pass a tensor that is model input already, with the region in its pixels"
        )
    return solution


def _axis_aligned(
    rows: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    image_size: tuple[int, int],
    input_size: tuple[int, int],
    preprocess: Preprocess,
) -> Geometry:
    inverse = np.vstack([*rows, (0.0, 0.0, 1.0)])
    turned = abs(inverse[0, 0]) < abs(inverse[0, 1])
    cross = ((0, 0), (1, 1)) if turned else ((0, 1), (1, 0))
    for row, column in cross:
        drift = inverse[row, column] * input_size[column]
        step = np.abs(inverse[row, :2]).max()
        if abs(drift) > _TOLERANCE * max(step, 1e-9) + image_size[row] / 255:
            raise GeometryError(
                f"the preprocess {_name(preprocess)} turns or shears the image by other than right angles, which "
                "boxes cannot follow. Pass a tensor that is model input already, with the region in its pixels"
            )
        inverse[row, 2] += inverse[row, column] * input_size[column] / 2
        inverse[row, column] = 0.0
    for row in range(2):
        _snap(inverse[row], input_size)
    try:
        first, second = np.linalg.inv(inverse)[:2].tolist()
    except np.linalg.LinAlgError as error:
        raise GeometryError(f"the preprocess {_name(preprocess)} flattens the image to a line") from error
    return Geometry(image_size, input_size, (tuple(first), tuple(second)))


def _snap(row: npt.NDArray[np.float64], input_size: tuple[int, int]) -> None:
    """Make a row exact, in place, where it is a crop, a padding or a flip: whole pixels, and no change of scale."""
    column = int(np.argmax(np.abs(row[:2])))
    length, sign = input_size[column], np.sign(row[column])
    # A real change of scale moves the far edge by a whole pixel at least.
    if abs(row[column] - sign) * length > 0.5:
        return
    middle = row[column] * length / 2 + row[2]
    offset = middle - sign * length / 2
    if abs(offset - round(offset)) < 0.25:
        row[column], row[2] = sign, round(offset)


def _name(preprocess: Preprocess) -> str:
    return getattr(preprocess, "__name__", None) or " ".join(repr(preprocess).split())[:120]
