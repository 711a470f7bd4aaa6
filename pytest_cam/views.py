"""What is drawn and said of an attention: the boxes around what it marks, and its part of a verdict over several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_cam.errors import FlatMapError, SettingError, is_ours
from pytest_cam.images import drawing
from pytest_cam.images.geometry import Geometry, Rectangle, intersection
from pytest_cam.images.regions import Box
from pytest_cam.measures.localization import upsample
from pytest_cam.measures.similarity import is_flat
from pytest_cam.verdicts.findings import View
from pytest_cam.verdicts.message import explained, layer_said

if TYPE_CHECKING:
    from pytest_cam.attention import Attention

__tracebackhide__ = is_ours

# In image pixels: narrower than that is what carrying an edge to the image and back leaves.
_ROUNDING = 1e-6


def view_of(attention: Attention, name: str, title: str) -> View:
    """Return an attention as a picture: its map over its image.

    Args:
        attention: The attention, whose map may be zero everywhere.
        name: What its files are called: letters, digits and dashes.
        title: What stands above it.
    """
    what = attention.explained
    return View(
        name,
        title,
        drawing.reduced(attention.image.rgb()),
        attention.map,
        attention.geometry,
        {
            "layer": attention.layer,
            "method": attention.method,
            "target": what.target,
            "explained": explained(what),
            "score": what.score,
            "probability": what.probability,
            "predicted": what.predicted,
        },
    )


def nothing_in(attention: Attention) -> str:
    """Say that a map is zero everywhere, and what to do."""
    what = attention.explained
    target = what.name if what.target is None else f"target {what.target}"
    return (
        f"no positive evidence for {target} at {attention.layer} ({attention.method}): the map is zero everywhere, so "
        "there is nothing to measure. Another layer or method may show some; a score that only falls with this "
        "layer's activations has none"
    )


def require_pattern(attention: Attention) -> None:
    """Raise `EmptyMapError` where a map is zero everywhere, `FlatMapError` where it is the same everywhere."""
    attention.require_something()
    if is_flat(attention.map):
        raise FlatMapError(
            f"the map is the same everywhere at {attention.layer} ({attention.method}), so it has no pattern that "
            "could stay or go. Take an image and a layer for which it has one",
            attention.evidence(),
        )


def where(attention: Attention) -> str:
    """Return how an attention was asked for: "gradcam++, layer4"."""
    return f"{attention.method}, {layer_said(attention)}"


def attended_boxes(cam: npt.NDArray[np.float32], geometry: Geometry, threshold: float = 0.5) -> list[Box]:
    """Return the boxes, in image pixels, around what reaches a share of the map's maximum; the largest first.

    Of what lies in the padding the image has no part, so a box ends where the image does.
    """
    if not isinstance(threshold, (int, float, np.number)) or not 0 < threshold <= 1:
        raise SettingError(f"threshold is {threshold!r}; accepted: a share of the map's maximum in (0, 1]")
    width, height = geometry.input_size
    raised = upsample(cam, (height, width))
    rectangles = drawing.contour_rectangles(raised >= threshold * raised.max())
    boxes = [_in_image(geometry.rectangle_to_image(rectangle), geometry.seen) for rectangle in rectangles]
    return sorted((box for box in boxes if box is not None), key=lambda box: box.area, reverse=True)


def _in_image(rectangle: Rectangle, seen: Rectangle) -> Box | None:
    """Return what of a rectangle is not padding; None where that is no more than rounding."""
    x1, y1, x2, y2 = intersection(rectangle, seen)
    return Box(x1, y1, x2, y2) if min(x2 - x1, y2 - y1) > _ROUNDING else None
