"""What an image, or the model's input, is changed by, and how a map of it is laid over that of the original again."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageEnhance

from pytest_cam.errors import PerturbationError, is_ours, kind_of, nearest
from pytest_cam.images.loading import load

__tracebackhide__ = is_ours

Map: TypeAlias = npt.NDArray[np.float32]
Pixels: TypeAlias = Image.Image | torch.Tensor


class Move(ABC):
    """A perturbation of the model's input that takes its content elsewhere, by whole cells of the map."""

    @abstractmethod
    def moved(self, tensor: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Return the input (C, H, W) with its content moved, of one shape; `grid` is (h, w) of the map."""

    @abstractmethod
    def matched(self, original: Map, other: Map) -> tuple[Map, Map]:
        """Return what two maps, of the original and of the moved input, have in common, in the original's place."""


class Change(ABC):
    """A perturbation that leaves everything where it is: of the image's own pixels, before the preprocess.

    Of an image that is model input already, of that: its least value is taken for black, and its greatest for white.
    """

    @abstractmethod
    def changed(self, pixels: Pixels) -> Pixels:
        """Return an RGB image, or an input (C, H, W), of the same size."""


@dataclass(frozen=True)
class Flip(Move):
    """Mirrored from left to right."""

    def __str__(self) -> str:
        return "flip"

    def moved(self, tensor: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Return the mirrored input."""
        return tensor.flip(2)

    def matched(self, original: Map, other: Map) -> tuple[Map, Map]:
        """Return the original, and the other mirrored."""
        return original, other[:, ::-1]


@dataclass(frozen=True)
class Shift(Move):
    """Shifted to the right and down; what comes in repeats the edge.

    By whole cells of the map, which is exact where the input's size is a multiple of the map's, and else to the nearest
    pixel. What leaves the input is not compared.

    Args:
        cells: How many cells; negative to the left and up.
    """

    cells: int = 1

    def __post_init__(self) -> None:
        if not _is_whole(self.cells) or self.cells == 0:
            raise PerturbationError(f"Shift(cells={self.cells!r}); accepted: a whole number of cells other than 0")
        object.__setattr__(self, "cells", int(self.cells))

    def __str__(self) -> str:
        return "shift" if self == Shift() else f"shift by {self.cells}"

    def moved(self, tensor: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Return the shifted input."""
        if abs(self.cells) * 2 >= min(grid):
            raise PerturbationError(
                f"a shift by {self.cells} leaves too little of a map of {grid[0]} x {grid[1]} cells; accepted: less "
                "than half of its rows and columns. Take a layer with a finer grid, or leave 'shift' out of under"
            )
        height, width = tensor.shape[1:]
        down, right = round(self.cells * height / grid[0]), round(self.cells * width / grid[1])
        sides = max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)
        padded = torch.nn.functional.pad(tensor[None], sides, mode="replicate")[0]
        top, left = max(-down, 0), max(-right, 0)
        return padded[:, top : top + height, left : left + width]

    def matched(self, original: Map, other: Map) -> tuple[Map, Map]:
        """Return the part of each map that shows what both inputs do."""
        stays, came = (slice(None, -self.cells), slice(self.cells, None))
        if self.cells < 0:
            stays, came = slice(-self.cells, None), slice(None, self.cells)
        return original[stays, stays], other[came, came]


@dataclass(frozen=True)
class Brightness(Change):
    """All values times a factor, as Pillow's `ImageEnhance.Brightness`.

    Args:
        factor: Above 1 is brighter, below 1 darker.
    """

    factor: float = 1.2

    def __post_init__(self) -> None:
        factor = _number("Brightness(factor=", self.factor, "a number above 0 other than 1", self.factor != 1)
        object.__setattr__(self, "factor", factor)

    def __str__(self) -> str:
        return "brightness" if self == Brightness() else f"brightness {self.factor:g}"

    def changed(self, pixels: Pixels) -> Pixels:
        """Return the brighter or darker image."""
        if isinstance(pixels, Image.Image):
            return ImageEnhance.Brightness(pixels).enhance(self.factor)
        black = pixels.min()
        return black + (pixels - black) * self.factor


@dataclass(frozen=True)
class Noise(Change):
    """Normal noise on every value.

    Args:
        sigma: Its standard deviation, as a share of the way from black to white.
        seed: That of the noise; the global generators are left alone.
    """

    sigma: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigma", _number("Noise(sigma=", self.sigma, "a share of the range, above 0", True))
        if not _is_whole(self.seed):
            raise PerturbationError(f"Noise(seed={self.seed!r}); accepted: a whole number")
        object.__setattr__(self, "seed", int(self.seed))

    def __str__(self) -> str:
        return "noise" if self.sigma == Noise.sigma else f"noise {self.sigma:g}"

    def changed(self, pixels: Pixels) -> Pixels:
        """Return the image with noise, rounded and clipped to 8 bits; an input is neither."""
        # NumPy takes no negative seeds.
        generator = np.random.default_rng(self.seed % 2**64)
        if isinstance(pixels, Image.Image):
            values = np.array(pixels, dtype=np.uint8)
            for row in values:  # of a photo all at once are numbers of 300 MB, five times over
                noisy = row + generator.normal(0.0, self.sigma * 255, row.shape)
                row[...] = noisy.round().clip(0, 255)
            return Image.fromarray(values)
        scale = self.sigma * float(pixels.max() - pixels.min())
        return pixels + torch.from_numpy(generator.normal(0.0, scale, tuple(pixels.shape))).to(pixels)


@dataclass(frozen=True)
class Jpeg(Change):
    """Stored as JPEG and read again, by Pillow. Of a photo only: a model input has no pixels to store.

    Args:
        quality: From 1 to 95, as Pillow's.
    """

    quality: int = 75

    def __post_init__(self) -> None:
        whole = _is_whole(self.quality) and 1 <= self.quality <= 95
        quality = _number("Jpeg(quality=", self.quality, "a whole number from 1 to 95", whole)
        object.__setattr__(self, "quality", int(quality))

    def __str__(self) -> str:
        return "jpeg" if self == Jpeg() else f"jpeg {self.quality}"

    def changed(self, pixels: Pixels) -> Pixels:
        """Return the image as it comes back."""
        if not isinstance(pixels, Image.Image):
            raise PerturbationError(
                "jpeg is of an image's pixels, and img is a tensor that is model input already; pass the image with "
                "its preprocess, or leave 'jpeg' out of under=[...]"
            )
        stored = io.BytesIO()
        pixels.save(stored, "JPEG", quality=self.quality)
        return Image.open(stored).convert("RGB")


@dataclass(frozen=True)
class _Own(Change):
    """A function of the user: from an RGB PIL image to an image, or from an input (C, H, W) to an input."""

    function: Callable[[Any], Any]

    def __str__(self) -> str:
        return getattr(self.function, "__name__", None) or type(self.function).__name__

    def changed(self, pixels: Pixels) -> Pixels:
        """Return what the function makes of a copy, after checking that it is no other the second time."""
        first, second = self._once(pixels), self._once(pixels)
        if not same(first, second):
            raise PerturbationError(
                f"random perturbation without seed: {self} made two different images of one; accepted: a function that "
                "always makes the same one, for example with a generator that it seeds itself"
            )
        return first

    def _once(self, pixels: Pixels) -> Pixels:
        if isinstance(pixels, torch.Tensor):
            made = self.function(pixels.clone())
            if isinstance(made, torch.Tensor) and made.shape == pixels.shape and made.is_floating_point():
                return made.detach().to(pixels)
            raise self._wrong(made, f"a floating point tensor {tuple(pixels.shape)}")
        made = self.function(pixels.copy())
        image = load(made).pixels if isinstance(made, (Image.Image, np.ndarray)) else made
        if isinstance(image, Image.Image) and image.size == pixels.size:
            return image
        raise self._wrong(made, f"an image of {pixels.width} x {pixels.height} pixels, of Pillow or a uint8 array")

    def _wrong(self, made: Any, accepted: str) -> PerturbationError:
        size = getattr(made, "shape", None) or getattr(made, "size", None)
        of = f" of {tuple(size)}" if isinstance(size, tuple) else ""
        return PerturbationError(f"perturbation {self} returned {kind_of(made)}{of}; accepted: {accepted}")


Perturbation: TypeAlias = Move | Change


def perturbation(given: Any, seed: int) -> Perturbation:
    """Return a perturbation from what a user passes.

    Args:
        given: A name, a perturbation, or a function of the image.
        seed: That of noise which is asked for by its name.

    Raises:
        PerturbationError: It is none of these.
    """
    named: dict[str, Perturbation] = {
        "flip": Flip(),
        "shift": Shift(),
        "brightness": Brightness(),
        "noise": Noise(seed=seed),
        "jpeg": Jpeg(),
    }
    if isinstance(given, (Move, Change)):
        return given
    if isinstance(given, str) and given in named:
        return named[given]
    if callable(given) and not isinstance(given, type):
        return _Own(given)
    called = f"; {given.__name__} is a class: write {given.__name__}()" if isinstance(given, type) else ""
    raise PerturbationError(f"there is no perturbation {given!r}{called}. {nearest(given, named)}")


def same(first: Pixels, second: Pixels) -> bool:
    """Return whether two images of one kind are equal in every pixel."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.equal(first, second)
    return np.array_equal(np.asarray(first), np.asarray(second))


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _number(call: str, value: Any, accepted: str, is_accepted: bool) -> float:
    """Return a strength as a number of Python."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not is_accepted or not 0 < value < float("inf"):
        raise PerturbationError(f"{call}{value!r}); accepted: {accepted}")
    return float(value)
