"""What is taken for a region, and whether the model saw enough of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions.base import Region
from pytest_cam.images.regions.box import Box
from pytest_cam.images.regions.combinations import Union

__tracebackhide__ = is_ours

# How much of a region the model must have seen, and what a fitted crop may be off by.
_LEAST_SEEN, _FIT = 0.5, 1e-3
_ACCEPTED = (
    "accepted: Box(x1, y1, x2, y2), or four numbers (x1, y1, x2, y2) in image pixels, several of these, "
    "Polygon(points), Mask(array), or torchvision's BoundingBoxes"
)


def as_region(value: Any) -> Region:
    """Return a region from what a user passes as one.

    Args:
        value: A `Region`; four numbers (x1, y1, x2, y2) in image pixels as a tuple, list, array or tensor; several
            of these as a list, tuple, or array (N, 4), which are their union; or torchvision's
            `tv_tensors.BoundingBoxes` of any upright format, with the size of their canvas. (A part of them, boxes[:1],
            is a plain tensor without a format, and taken for (x1, y1, x2, y2).)

    Returns:
        The region.

    Raises:
        RegionError: It is none of these, is no box at all, or a box is malformed.
    """
    if isinstance(value, Region):
        return value
    if hasattr(value, "canvas_size") and hasattr(value, "format"):
        return _union(_boxes(value))
    shape = getattr(value, "shape", None)
    if shape is not None and not (len(shape) in (1, 2) and shape[-1] == 4 and "bool" not in str(value.dtype)):
        hint = ". As a mask, it is Mask(array)" if len(shape) == 2 else ""
        hint = ". As the corners of a polygon, it is Polygon(array)" if len(shape) == 2 and shape[1] == 2 else hint
        raise RegionError(f"region is an array of shape {tuple(shape)} and type {value.dtype}; {_ACCEPTED}{hint}")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise RegionError(f"region is {_short(value)}; {_ACCEPTED}{_hint(value)}")
    if not value:
        raise RegionError(f"region is {value!r}, no box at all, so nothing can be measured there; {_ACCEPTED}")
    if any(_is_region_like(part) for part in value):
        return _union([_one(part, number) for number, part in enumerate(value)])
    if len(value) == 4:
        return Box(*value)
    if len(value) == 2:
        raise RegionError(f"region is {_short(value)}; {_ACCEPTED}. Points are the corners of Polygon(points)")
    flat = ". COCO's [x1, y1, x2, y2, ...] is Polygon(numpy.reshape(numbers, (-1, 2)))"
    hint = flat if len(value) >= 6 and len(value) % 2 == 0 else ""
    raise RegionError(f"region is {_short(value)}; {_ACCEPTED}{hint}")


def _is_region_like(part: Any) -> bool:
    return isinstance(part, (Region, list, tuple)) or getattr(part, "ndim", 0) > 0


def _one(part: Any, number: int) -> Region:
    if _is_region_like(part):
        try:
            return as_region(part)
        except RegionError as error:
            raise RegionError(f"of several regions, number {number}: {error}") from None
    raise RegionError(f"of several regions, number {number} is {_short(part)}; {_ACCEPTED}")


def _union(parts: Sequence[Region]) -> Region:
    if not parts:
        raise RegionError(f"region is no box at all, so nothing can be measured there; {_ACCEPTED}")
    return parts[0] if len(parts) == 1 else Union(tuple(parts))


def _boxes(value: Any) -> list[Box]:
    """Return the boxes of torchvision's BoundingBoxes, known by its attributes: nothing here imports torchvision."""
    written = str(getattr(value.format, "value", value.format))
    height, width = value.canvas_size
    boxes = []
    for a, b, c, d, *_ in value.reshape(-1, value.shape[-1]).tolist():
        corners = {
            "XYXY": (a, b, c, d),
            "XYWH": (a, b, a + c, b + d),
            "CXCYWH": (a - c / 2, b - d / 2, a + c / 2, b + d / 2),
        }
        if written not in corners:
            raise RegionError(
                f"BoundingBoxes have the format {written}, whose boxes may be turned; accepted: {', '.join(corners)}. "
                "A turned box is Polygon(corners)"
            )
        boxes.append(Box(*corners[written], image_size=(int(width), int(height))))
    return boxes


def _hint(value: Any) -> str:
    """Return what to add to the error of what is no region: what it is, and where that belongs."""
    if isinstance(value, Mapping):
        return ". COCO's run lengths are Mask(rle), and its boxes Box.xywh(*bbox)"
    if isinstance(value, str):
        return ". A layer goes to layer=, and a mask's file is Mask(path)"
    return ". A layer goes to layer=" if hasattr(value, "named_modules") else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def require_visible(region: Region, geometry: Geometry) -> float:
    """Return the share of a region that the model saw, after checking that it is enough.

    Args:
        region: The region, in image pixels.
        geometry: The way from the image to the input.

    Returns:
        The visible share of the region's area, in (0, 1]; at least 0.5, less what a fit may be off by, but for what
        remains of the image around something.

    Raises:
        RegionError: The region is outside the image, or more than half of it is outside what the model saw.
    """
    share = region.visible_share(geometry)
    seen = Box(*geometry.seen)
    if share == 0:
        raise RegionError(
            f"{region.name} lies wholly outside the crop that the model saw, {seen} of the image: no check of it "
            "means anything"
        )
    if share < _LEAST_SEEN - _FIT and not region.is_rest:
        percent = f"{share:.{1 if share > 0.495 else 0}%}"  # which rounds to no half
        raise RegionError(
            f"only {percent} of {region.name} lies inside the crop that the model saw, {seen} of the image; "
            "at least half must"
        )
    return share
