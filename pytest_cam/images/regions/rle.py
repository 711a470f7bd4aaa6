"""COCO's run lengths: the pixels of a mask column by column, as counts of unset and set ones in turn.

Compressed counts are text of six bits a character, from "0" on: five bits of a number, the lowest first, and one that
says whether more follow; the last five carry the sign. From the fourth count on, each is the difference from the one
before the last. This is the format of `maskApi.c` in the COCO API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import RegionError, is_ours

__tracebackhide__ = is_ours

_ACCEPTED = (
    'accepted: {"size": [height, width], "counts": ...} with counts as a list of numbers, or COCO\'s str or bytes'
)


def decoded(rle: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """Return the mask, (H, W), of COCO's run lengths.

    Args:
        rle: {"size": [h, w], "counts": list | str | bytes}.

    Raises:
        RegionError: A part is missing or malformed, or the counts do not add up to the size.
    """
    if "size" not in rle or "counts" not in rle:
        raise RegionError(f"mask RLE has the keys {sorted(map(str, rle))}; {_ACCEPTED}")
    height, width = _size(rle["size"])
    counts = rle["counts"]
    if isinstance(counts, (str, bytes)):
        runs = _decompressed(counts.encode() if isinstance(counts, str) else counts)
    else:
        runs = _whole_numbers(counts)
    if any(run < 0 for run in runs):
        raise RegionError(f"mask RLE has a negative count, {min(runs)}; {_ACCEPTED}")
    if sum(runs) != height * width:
        raise RegionError(
            f"mask RLE does not fit its size: the counts add up to {sum(runs)}, and {height} x {width} (height x "
            f"width) pixels are {height * width}"
        )
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return pixels.reshape((height, width), order="F")


def encoded(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask (H, W) as COCO's uncompressed run lengths."""
    pixels = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(pixels[1:] != pixels[:-1])
    counts = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return {"size": list(mask.shape), "counts": counts.tolist()}


def _size(given: Any) -> tuple[int, int]:
    size = _whole_numbers(given)
    if len(size) != 2 or min(size) < 1:
        raise RegionError(f"mask RLE size is {given!r}; accepted: [height, width] in pixels")
    return size[0], size[1]


def _whole_numbers(given: Any) -> list[int]:
    values = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(values, Sequence) and all(isinstance(value, (int, np.integer)) for value in values):
        return [int(value) for value in values]
    raise RegionError(f"mask RLE has {str(given)[:80]!r} where whole numbers are due; {_ACCEPTED}")


def _decompressed(text: bytes) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for byte in text:
        bits = byte - 48
        if not 0 <= bits < 64:
            raise RegionError(f"mask RLE has the character {chr(byte)!r}, which COCO's compressed counts never have")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise RegionError("mask RLE ends in the middle of a number: its compressed counts were cut off")
    return counts
