"""Images whose pixels say where they are: grey, and changing along one axis only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float64]
# The darkest and the brightest, as shares of the way from black to white.
Levels = tuple[float, float]


def ramp(size: tuple[int, int], axis: int, low: float, high: float) -> Image.Image:
    """Return an image that is black up to one coordinate along an axis and white from another one on."""
    return _grey(size, axis, (_centres(size[axis]) - low) / (high - low))


def waves(size: tuple[int, int], axis: int, period: float, levels: Levels) -> Image.Image:
    """Return an image that goes from one level to another and back along an axis, over and over."""
    return _grey(size, axis, wave(_centres(size[axis]), period, levels))


def wave(along: Array, period: float, levels: Levels) -> Array:
    """Return how bright waves are at some coordinates: the first level at 0 and at each period from there."""
    low, high = levels
    shares: Array = high - (high - low) * np.abs(2 * (along / period % 1) - 1)
    return shares


def _centres(length: int) -> Array:
    centres: Array = np.arange(length, dtype=np.float64) + 0.5
    return centres


def _grey(size: tuple[int, int], axis: int, share: Array) -> Image.Image:
    line = np.repeat((share.clip(0, 1) * 255).round().astype(np.uint8)[:, None], 3, axis=1)
    return Image.fromarray(line[None] if axis == 0 else line[:, None]).resize(size, Image.Resampling.NEAREST)
