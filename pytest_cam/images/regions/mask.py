"""The mask: a region pixel by pixel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from pytest_cam.errors import RegionError, is_ours, kind_of
from pytest_cam.images.loading import DAMAGED
from pytest_cam.images.regions.base import Region, written
from pytest_cam.images.regions.raster import Array, Bools, Lines
from pytest_cam.images.regions.rle import decoded, encoded

__tracebackhide__ = is_ours

_ACCEPTED = (
    "accepted: a bool or uint8 array (H, W), a one-channel PIL image, the path of a one-channel PNG, or COCO's "
    '{"size": [h, w], "counts": ...}'
)


@dataclass(frozen=True, eq=False, repr=False)
class Mask(Region):
    """A set of whole image pixels, of the image's own size.

    Attributes:
        array: Which pixels belong to it, (H, W) bool, read-only. It is made from a bool or uint8 array or tensor
            (H, W) whose pixels are 0 and one other value, a one-channel 8-bit PIL image of the same kind, the path of
            such a PNG, or COCO's run lengths `{"size": [h, w], "counts": list | str | bytes}`, compressed or not.

    Raises:
        RegionError: It is none of these, has no pixel set, or more than one value beside 0.
    """

    array: Any

    def __post_init__(self) -> None:
        inside = np.array(_as_bools(self.array))
        if not inside.any():
            raise RegionError(
                f"mask of {_size(inside.shape)} pixels is empty: not one pixel is set, so nothing can be measured there"
            )
        inside.flags.writeable = False
        object.__setattr__(self, "array", inside)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.array.shape, self.array.tobytes()))

    @property
    def kind(self) -> str:
        """What it is called in texts."""
        return "mask"

    def __str__(self) -> str:
        """Return how many pixels are set, and the box around them."""
        rows, columns = (np.flatnonzero(self.array.any(axis=axis)) for axis in (1, 0))
        bounds = written((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
        return f"mask of {np.count_nonzero(self.array)} pixels in {bounds}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def lines(self) -> Lines:
        """Return the x and the y at which any two neighbouring pixels differ."""
        framed = np.pad(self.array, 1)
        xs = np.flatnonzero((framed[:, 1:] != framed[:, :-1]).any(axis=0))
        ys = np.flatnonzero((framed[1:] != framed[:-1]).any(axis=1))
        return xs.astype(np.float64), ys.astype(np.float64)

    def contains(self, xs: Array, ys: Array) -> Bools:
        """Return which points of the grid with ascending xs and ys lie in set pixels, (len(ys), len(xs))."""
        framed = np.pad(self.array, 1)
        height, width = self.array.shape
        columns = np.clip(np.floor(xs).astype(int), -1, width) + 1
        rows = np.clip(np.floor(ys).astype(int), -1, height) + 1
        inside: Bools = framed[np.ix_(rows, columns)]
        return inside

    def require_within(self, image_size: tuple[int, int]) -> None:
        """Check that the mask has the image's size.

        Raises:
            RegionError: It has another.
        """
        height, width = self.array.shape
        if (width, height) == tuple(image_size):
            return
        turned = "; rows come first: mask.T has the image's size" if (height, width) == tuple(image_size) else ""
        raise RegionError(
            f"mask is {width} x {height} pixels, and the image is {image_size[0]} x {image_size[1]}; accepted: a mask "
            f"with one value for each pixel of the image, an array of shape ({image_size[1]}, {image_size[0]}){turned}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the mask's kind, and its size and counts as `Mask` takes them."""
        return {"kind": self.kind, **encoded(self.array)}


def _as_bools(given: Any) -> npt.NDArray[np.bool_]:
    if isinstance(given, Mapping):
        return decoded(given)
    if isinstance(given, (str, os.PathLike)):
        return _set_pixels(_read(os.fspath(given)), _file(os.fspath(given)))
    if isinstance(given, Image.Image):
        return _set_pixels(_values(given, "mask"), "mask")
    if hasattr(given, "detach"):
        given = given.detach().cpu().numpy()
    if isinstance(given, np.ndarray):
        return _set_pixels(given, "mask")
    raise RegionError(f"mask is {kind_of(given)}; {_ACCEPTED}")


def _read(path: str) -> npt.NDArray[Any]:
    try:
        with Image.open(path) as image:
            return _values(image, _file(path))
    except RegionError:
        raise
    except FileNotFoundError as error:
        raise RegionError(f"mask file not found: {path}") from error
    except UnidentifiedImageError as error:
        raise RegionError(f"mask file is unreadable: {path} is in no format that Pillow knows") from error
    except (*DAMAGED, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RegionError(f"mask file is unreadable: {path} ({error})") from error


def _file(path: str) -> str:
    return f"mask file {path}"


def _values(image: Image.Image, name: str) -> npt.NDArray[Any]:
    """Return the values of an image's pixels; of a palette's two colours black and white those that are shown."""
    values = np.array(image)
    if image.mode != "P":
        return values
    # Whoever saves black and white in a palette may get white as its first colour.
    colours = np.zeros((256, 3), dtype=np.uint8)
    palette = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    colours[: len(palette)] = palette
    used: npt.NDArray[Any] = np.flatnonzero(image.histogram())
    is_black, is_white = ~colours[used].any(axis=1), (colours[used] == 255).all(axis=1)
    if (is_black | is_white).all():
        shown: npt.NDArray[Any] = colours[values, 0]
        return shown
    if is_black.any() and 0 in used and not is_black[0]:
        raise RegionError(
            f"{name} is an image of palette colours in which value 0 is not black, and another one is: what is outside "
            "of it cannot be told. Say which pixels belong to it: Mask(array != 0) by their values, or "
            "Mask(numpy.array(image.convert('L')) > 0) by what is shown"
        )
    return values


def _set_pixels(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.bool_]:
    if values.ndim != 2 or values.size == 0:
        hint = (
            "; take one channel, such as mask[..., 0]" if values.ndim == 3 and values.shape[-1] in (1, 2, 3, 4) else ""
        )
        hint = "; take its only channel, mask[0]" if values.ndim == 3 and values.shape[0] == 1 else hint
        raise RegionError(f"{name} has the shape {values.shape}; accepted: (H, W){hint}")
    if values.dtype not in (np.bool_, np.uint8):
        cure = "array > 0.5" if np.issubdtype(values.dtype, np.floating) else "array != 0"
        raise RegionError(
            f"{name} has {values.dtype} values; accepted: bool or uint8. Say which belong to it: Mask({cure})"
        )
    # Of bools, too: those of Pillow's 1-bit images hold bytes of 255, by which equal masks would hash apart.
    inside: npt.NDArray[np.bool_] = values != 0
    if values.dtype != np.bool_ and (inside & (values != values.max())).any():
        found = np.unique(values)  # only here: of a photo's mask it takes longer than decoding the file
        some = ", ".join(str(value) for value in found[:5])
        raise RegionError(
            f"{name} has {len(found)} different values ({some}{', ...' if len(found) > 5 else ''}); accepted: 0 and "
            f"one other. Of labels take one, Mask(array == {found[-1]}); of shades the upper half, Mask(array > 127)"
        )
    return inside


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
