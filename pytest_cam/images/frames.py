"""Whose pixels a region is given in: the image's or the input's."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pytest_cam.errors import RegionError, is_ours
from pytest_cam.images.geometry import Geometry
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
    if frame not in ("image", "input"):
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
        raise RegionError(f"the region is a {region.kind}; with frame='input' accepted: a box or a polygon")
    width, height = geometry.input_size
    points = region.outlines()[0]
    require_pixels(region.name, (*points.min(axis=0), *points.max(axis=0)), (width, height), "the model's input")
    if isinstance(region, Polygon):
        return Polygon(geometry.to_image(region.points).tolist())
    image_size = geometry.image_size
    x1, y1, x2, y2 = geometry.rectangle_to_input((0.0, 0.0, image_size[0], image_size[1]))
    shown = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    out = max(shown[0] - region.x1, shown[1] - region.y1, region.x2 - shown[2], region.y2 - shown[3])
    if out > _ROUNDING:
        padded = shown != (0.0, 0.0, width, height)
        where = f", of which the image fills {Box(*shown)}" if padded else ""
        raise RegionError(
            f"box {region} lies outside the model's input, which is {width} x {height} pixels{where}, by {out:.1f}. "
            "With frame='input' boxes are in its pixels"
        )
    inside = max(region.x1, shown[0]), max(region.y1, shown[1]), min(region.x2, shown[2]), min(region.y2, shown[3])
    return Box(*geometry.rectangle_to_image(inside))
