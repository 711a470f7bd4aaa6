"""Finding how a preprocess moves pixels, by running it on images whose pixels say where they are."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from pytest_cam.errors import GeometryError, NotAffineError, is_ours
from pytest_cam.images.applying import apply, is_albumentations, name_of
from pytest_cam.images.fitting import Line, bend, least_squares, snap
from pytest_cam.images.geometry import Geometry, Preprocess
from pytest_cam.images.probes import Levels, ramp, wave, waves
from pytest_cam.randomness import RandomState

__tracebackhide__ = is_ours

Array = npt.NDArray[np.float64]

# How far a fitted pixel may lie from where the ramp says it is, in input pixels.
_TOLERANCE = 1.0
# How far enlarging moves pixels, in image pixels: to the nearest one, in steps; or by what cubic curves differ from
# straight lines.
_NEAREST, _CUBIC = 0.6, 0.1
# How often a run is repeated where random numbers are drawn: what is fair between two outcomes is missed once in
# 2 ** _REPEATS times. Of a new preprocess it is not known whether it draws from a generator of its own.
_REPEATS, _REPEATS_OF_NEW = 12, 4
# How many pixels of image and input one wave takes, at least.
_WAVE = 16
# Grey waves, and what comes out of them only where brightness is stretched; and waves in which that changes nothing.
_GREY: Levels = (0.25, 0.75)
_STRETCHED: Levels = (0.15, 0.85)
_FULL: Levels = (0.0, 1.0)
# Fewer full waves than that do not tell a part of an image from all of it.
_LEAST_WAVES = 1.5
# Of an input with many more pixels than this, as many tell as much as all of them.
_ENOUGH = 400_000
# What to do where the pixels cannot be followed.
_INSTEAD = "Pass the region in input pixels, with frame='input'"
# And where they go straight, but their brightness does not say where.
_OR_SAY = f"{_INSTEAD}, or give it a method cam_geometry(size)"


class Probe:
    """Finds how one preprocess moves pixels at one image size.

    Black and white images undo the per-channel scale and offset; two grey ramps, along x and along y, then
    tell for each input pixel where in the image it came from, and a least-squares fit gives the affine map.
    Grey waves make it finer than a ramp's 256 levels are, and show where brightness is stretched. Padding, where black
    and white look alike, takes no part. Where the input shows less than half of the image, further ramps run over that
    part only.

    Args:
        preprocess: What `pytest_cam.images.applying.apply` can call.
        size: (width, height) of the image in pixels.
        is_new: Whether it may draw random numbers from a generator of its own, so that it is run more often.
    """

    def __init__(self, preprocess: Preprocess, size: tuple[int, int], *, is_new: bool) -> None:
        self.preprocess, self.size = preprocess, size
        self.name = name_of(preprocess)
        self.repeats = _REPEATS_OF_NEW if is_new else 1
        if is_new and is_albumentations(preprocess):
            self.repeats = _REPEATS  # it always draws, and from generators of its own

    def geometry(self) -> Geometry:
        """Return the geometry, right to a fraction of an input pixel.

        Raises:
            NotAffineError: The preprocess is not affine, turns by other than right angles, or hides where pixels go.
            GeometryError: The preprocess is random.
            PreprocessError: The preprocess fails, or returns something else than one input.
        """
        black = apply(self.preprocess, Image.new("RGB", self.size))
        white = apply(self.preprocess, Image.new("RGB", self.size, (255, 255, 255)))
        self.shape, self.input_size = black.shape, (black.shape[2], black.shape[1])
        self._require_shape(white)
        some = _some(self.input_size)
        self.black = _values(black, some)
        span = _values(white, some) - self.black
        peak = (white - black).amax(dim=(1, 2)).cpu().double().numpy()[:, None]
        usable = ((peak > 0) & (span >= 0.995 * peak)).all(axis=0)
        if usable.sum() < min(4, usable.size):
            self._refuse(
                f"where the pixels go in the preprocess {self.name} cannot be found: its output does not grow with "
                f"brightness. {_OR_SAY}"
            )
        self.some, self.usable, self.span = some, usable, np.where(span > 0, span, 1.0)
        rows, columns = np.divmod(some[usable], self.input_size[0])
        self.pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
        return self._axis_aligned([self._fit(axis) if self.size[axis] > 1 else None for axis in (0, 1)])

    def _run_repeatedly(self, image: Image.Image) -> torch.Tensor:
        before = RandomState()
        first = apply(self.preprocess, image)
        for _ in range(self.repeats if before.is_current() else _REPEATS):
            again = apply(self.preprocess, image)
            if again.shape != first.shape or not torch.equal(again, first):
                raise GeometryError(
                    f"the preprocess {self.name} is random: two runs on one image differ. An attention test "
                    "needs the one that is used for evaluation, without augmentation"
                )
        return first

    def _require_shape(self, found: torch.Tensor) -> None:
        if found.shape != self.shape:
            self._refuse(
                f"the preprocess {self.name} gives inputs of different sizes for one image size: it depends on the "
                f"content. {_INSTEAD}"
            )

    def _refuse(self, why: str) -> NoReturn:
        # What is random may look like anything else; then that is what to say.
        self._run_repeatedly(Image.linear_gradient("L").convert("RGB").resize(self.size))
        raise NotAffineError(why)

    def _shares(self, made: torch.Tensor) -> Array:
        """Return how far from black to white the usable pixels of an output are."""
        self._require_shape(made)
        shares: Array = ((_values(made, self.some) - self.black) / self.span).mean(axis=0)[self.usable]
        return shares

    def _line(self, axis: int) -> Line:
        low, high = 0.5, self.size[axis] - 0.5
        while True:
            made = self._run_repeatedly(ramp(self.size, axis, low, high))
            share = self._shares(made)
            source, level = low + share * (high - low), (high - low) / 255
            # At the image's own border a resize has only half its neighbours, and an enlarged ramp is flat there.
            line = Line(source, (share > 0.02) & (share < 0.98), level, (low, high))
            narrow = max(low, source.min() - 1.5 * level), min(high, source.max() + 1.5 * level)
            if level <= 0.25 or narrow[1] - narrow[0] > (high - low) / 2:
                return line
            low, high = narrow

    def _fit(self, axis: int) -> Array:
        """Return (a, b, c), of which a or b is 0: the image coordinate is a u + b v + c for the input pixel (u, v)."""
        line = self._line(axis)
        chosen = line.inner if line.inner.sum() >= 4 else np.ones_like(line.inner)
        design, values = self.pixels[chosen], line.source[chosen]
        solution = least_squares(design, values)
        step = max(float(np.abs(solution[:2]).max()), 1e-9)
        allowed = _TOLERANCE * step + line.level
        residuals = values - design @ solution
        off = np.quantile(np.abs(residuals), 0.95)
        if off > allowed and (off > _NEAREST or bend(design, residuals) > max(allowed, _CUBIC)):
            raise NotAffineError(
                f"the preprocess {self.name} is not affine: pixels land up to {off / step:.1f} input pixels "
                f"from a straight line. {_INSTEAD}"
            )
        self._require_straight_tones(line, self.pixels @ solution, allowed)
        solution = self._finer(axis, line, solution, step)
        across = int(np.argmin(np.abs(solution[:2])))
        drift = solution[across] * self.input_size[across]
        if abs(drift) > allowed:
            raise NotAffineError(
                f"the preprocess {self.name} turns or shears the image by other than right angles, which "
                f"boxes cannot follow. {_INSTEAD}"
            )
        solution[2] += drift / 2
        solution[across] = 0.0
        snap(solution, self.input_size, self.size[axis])
        return solution

    def _require_straight_tones(self, line: Line, fitted: Array, allowed: float) -> None:
        """Refuse an output that is flat over a range of brightness, which makes part of a ramp look like all of it."""
        low, high = line.ends
        beyond = max(low - fitted.min(), fitted.max() - high)
        # Half a pixel belongs to the border; cubic curves overshoot as much again where few pixels are enlarged.
        if beyond > max(allowed, 1.0) + 0.02 * (high - low):
            raise NotAffineError(
                f"the preprocess {self.name} cuts dark or bright values off, so where its pixels come from cannot be "
                f"told from their brightness. {_OR_SAY}"
            )

    def _finer(self, axis: int, line: Line, solution: Array, step: float) -> Array:
        """Return a fit without what the rounding of a ramp's grey levels adds up to, after checking the tones.

        Waves are steeper than the ramp, and rise and fall.
        """
        period, fitted, levels = _WAVE * max(1.0, step), self.pixels @ solution, _GREY
        shares = self._shares(apply(self.preprocess, waves(self.size, axis, period, levels)))
        is_stretched = bool(shares.min() < _STRETCHED[0] or shares.max() > _STRETCHED[1])
        if is_stretched:
            levels = _FULL
            shares = self._shares(apply(self.preprocess, waves(self.size, axis, period, levels)))
        expected, depth = wave(fitted, period, levels), levels[1] - levels[0]
        rising = np.where(fitted / period % 1 < 0.5, 1, -1)
        moves = rising * (shares - expected) * period / (2 * depth)
        # Where a wave turns, and at the image's own border, a resize blunts it.
        chosen = line.inner & (np.abs(expected - 0.5) < 0.3 * depth)
        few = np.ptp(fitted) < _LEAST_WAVES * period - step or chosen.sum() < 4
        move = np.zeros(3) if few else least_squares(self.pixels[chosen], moves[chosen])
        if is_stretched:
            off = np.inf if few else max(2 * np.median(np.abs(moves[chosen])), np.abs(self.pixels @ move).max())
            self._require_lasting_tones(float(off), step)
        return solution + move

    def _require_lasting_tones(self, off: float, step: float) -> None:
        """Refuse an output that is stretched to the brightness of what it shows, unless that is all of the image.

        Part of a ramp is then all of one. Full waves have black and white in every part of the image, so that
        stretching changes nothing in them: where only a part is shown, they lie off where the ramp says.
        """
        if off > max(0.75 * step, _NEAREST):
            raise NotAffineError(
                f"the preprocess {self.name} stretches the brightness of what it shows to a range of its own, so where "
                f"its pixels come from cannot be told from their brightness. {_OR_SAY}"
            )

    def _axis_aligned(self, rows: list[Array | None]) -> Geometry:
        for axis, row in enumerate(rows):
            if row is None:
                rows[axis] = self._only_pixel(axis, rows[1 - axis])
        inverse = np.vstack([*(row for row in rows if row is not None), (0.0, 0.0, 1.0)])
        if abs(np.linalg.det(inverse)) < 1e-12:
            raise NotAffineError(f"the preprocess {self.name} flattens the image to a line. {_INSTEAD}")
        first, second = np.linalg.inv(inverse)[:2].tolist()
        return Geometry(self.size, self.input_size, (tuple(first), tuple(second)))

    def _only_pixel(self, axis: int, other: Array | None) -> Array:
        """Return the row of an axis along which the image has one pixel: it fills all that is not padding."""
        along = axis if other is None else 1 - int(np.argmax(np.abs(other[:2])))
        start, stop = self.pixels[:, along].min() - 0.5, self.pixels[:, along].max() + 0.5
        row = np.zeros(3)
        row[along], row[2] = 1 / (stop - start), -start / (stop - start)
        return row


def _some(input_size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return the flat indices of the pixels of an input to look at: of a large one some in each row and column."""
    width, height = input_size
    every = max(width * height // _ENOUGH, 1)
    rows, columns = np.arange(height)[:, None], np.arange(width)
    return np.flatnonzero((rows + columns) % every == 0)


def _values(tensor: torch.Tensor, some: npt.NDArray[np.int64]) -> Array:
    chosen = tensor.detach().cpu().reshape(len(tensor), -1)[:, torch.from_numpy(some)]
    values: Array = chosen.double().numpy()
    return values
