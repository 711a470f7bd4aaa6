"""Whose pixels a region is given in: the image's or the input's."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.geometry import Geometry, Points, Rectangle, intersection, rectangle_of
from pytest_cam.images.regions import Box, Polygon, Region, as_region
from pytest_cam.images.regions.base import require_pixels

__tracebackhide__ = is_ours

Frame: TypeAlias = Literal["image", "input"]

# As for boxes on the image: what annotation tools round, in pixels.
_ROUNDING = 1.0


def require_frame(frame: str) -> None:
    """Check a frame.

    Raises:
        RegionError: It is not one.
    """
    if frame not in get_args(Frame):
        raise RegionError(
            f"frame is {frame!r}; accepted: 'image' (the region is in pixels of the image) or 'input' (in pixels of "
            "the model's input, after the preprocess)"
        )


def region_in_image(value: Any, frame: Frame, geometry: Geometry) -> Region:
    """Return a region of the image from what a user passes, in pixels of the image or of the input.

    Args:
        value: A `Region`, or four numbers (x1, y1, x2, y2); for the frame "input" a `Box`, four numbers or a
            `Polygon`.
        frame: "image" or "input".
        geometry: Between the two.

    Returns:
        The region in image pixels.

    Raises:
        RegionError: There is no such frame, the region is malformed, or it is not on the image as the input shows it.
    """
    require_frame(frame)
    region = as_region(value)
    if frame == "image":
        return region
    if not isinstance(region, (Box, Polygon)):
        raise RegionError(
            f"{region.name} cannot be given in pixels of the model's input; with frame='input' accepted: a box or a "
            "polygon"
        )
    points, shown = region.outlines()[0], _shown(geometry)
    _require_on_input(region, points, shown, geometry.input_size)
    inside = geometry.to_image(points.clip(shown[:2], shown[2:]))
    return Polygon(inside.tolist()) if isinstance(region, Polygon) else Box(*inside.min(axis=0), *inside.max(axis=0))


def _shown(geometry: Geometry) -> Rectangle:
    """Return the part of the input that the image fills."""
    filled = geometry.rectangle_to_input(rectangle_of(geometry.image_size))
    return intersection(filled, rectangle_of(geometry.input_size))


def _require_on_input(region: Box | Polygon, points: Points, shown: Rectangle, input_size: tuple[int, int]) -> None:
    width, height = input_size
    in_its_pixels = f"With frame='input' {'boxes' if isinstance(region, Box) else 'polygons'} are in its pixels"
    made_for = region.image_size if isinstance(region, Box) else None
    if made_for is not None and tuple(made_for) != input_size:
        raise RegionError(
            f"{region.name} was made for an image of {made_for[0]} x {made_for[1]} pixels, and the model's input has "
            f"{width} x {height}. {in_its_pixels}"
        )
    (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
    require_pixels(region, (x1, y1, x2, y2), input_size, "the model's input")
    out = max(shown[0] - x1, shown[1] - y1, x2 - shown[2], y2 - shown[3])
    if out > _ROUNDING:
        padded = shown != (0.0, 0.0, width, height)
        where = f", of which the image fills {Box(*shown)}" if padded else ""
        raise RegionError(
            f"{region.name} lies outside the model's input, which is {width} x {height} pixels{where}, by {out:.1f}. "
            f"{in_its_pixels}"
        )
