"""Pictures of a map on its image: heat map, overlay, outlines. Colours are for eyes; nothing is measured here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_cam.errors import DependencyError, is_ours
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.loading import RGB
from pytest_cam.images.style import Normalization, Style

__tracebackhide__ = is_ours

Colour: TypeAlias = tuple[int, int, int]

_LONGEST_SIDE = 1024
_DIMMED = 0.35
_MORE: Colour = (202, 0, 32)
_LESS: Colour = (5, 113, 176)


def opencv() -> ModuleType:
    """Import OpenCV, or say how to make it import.

    Raises:
        DependencyError: It does not import here.
    """
    try:
        import cv2
    except ImportError as error:
        raise DependencyError(
            f"OpenCV does not import here ({error}). Either install the system library that it needs "
            "(Debian, Ubuntu: apt-get install libgl1), or use its build without a display: "
            "pip uninstall opencv-python && pip install opencv-python-headless"
        ) from error
    module: ModuleType = cv2
    return module


def reduced(rgb: RGB) -> RGB:
    """Return the picture with its longer side at most 1024 pixels."""
    height, width = rgb.shape[:2]
    scale = _LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return rgb
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))


def normalised(cam: npt.ArrayLike, how: Normalization = "max") -> npt.NDArray[np.float32]:
    """Return a map in [0, 1] for drawing: divided by its maximum, or stretched from its minimum to its maximum."""
    values = np.asarray(cam, dtype=np.float32)
    low = float(values.min()) if how == "min-max" else 0.0
    high = float(values.max())
    if high <= low:
        return np.zeros_like(values)
    return (values - low) / (high - low)


def on_image(cam: npt.ArrayLike, geometry: Geometry, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Carry a map (h, w) back through the preprocess onto a picture of the image.

    Args:
        cam: The map on the layer's grid.
        geometry: Between image and input.
        size: (width, height) of the picture, the whole image at any scale.

    Returns:
        The map on the picture, (height, width); 0 where the model saw nothing.
    """
    cv2 = opencv()
    values = np.asarray(cam, dtype=np.float32)
    # Linear interpolation would pass over cells of a map that is finer than the input.
    is_finer = values.shape[1] > geometry.input_size[0] or values.shape[0] > geometry.input_size[1]
    how = cv2.INTER_AREA if is_finer else cv2.INTER_LINEAR
    on_input = cv2.resize(values, geometry.input_size, interpolation=how)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: npt.NDArray[np.float32] = cv2.warpAffine(
        on_input, _picture_to_input(geometry, size), size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return warped * seen_mask(geometry, size)


def seen_mask(geometry: Geometry, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return a mask (height, width) of a picture of the image: 1 where the model saw it, 0 elsewhere."""
    scale_x, scale_y = size[0] / geometry.image_size[0], size[1] / geometry.image_size[1]
    x1, y1, x2, y2 = geometry.seen
    mask = np.zeros((size[1], size[0]), dtype=np.float32)
    mask[round(y1 * scale_y) : round(y2 * scale_y), round(x1 * scale_x) : round(x2 * scale_x)] = 1
    return mask


def input_in_image(shown: RGB, geometry: Geometry, picture: RGB) -> RGB:
    """Put a picture of the model's input where it lies in the image.

    Args:
        shown: The input, (H, W, 3) uint8, at its own size.
        geometry: Between image and input.
        picture: The whole image at any scale, (height, width, 3) uint8, which stays where the model saw nothing.

    Returns:
        (height, width, 3) uint8.
    """
    size = picture.shape[1], picture.shape[0]
    rows = np.array(geometry.matrix) * (geometry.image_size[0] / size[0], geometry.image_size[1] / size[1], 1.0)
    laid = Image.fromarray(shown).transform(
        size, Image.Transform.AFFINE, rows.ravel().tolist(), Image.Resampling.BILINEAR
    )
    return np.where(seen_mask(geometry, size)[:, :, None] > 0, np.array(laid), picture)


def unseen(seen: Iterable[npt.NDArray[np.float32]]) -> list[str]:
    """Return the line of a caption that says what is dark in pictures of the image; none where nothing is.

    Args:
        seen: The masks of the pictures, as `seen_mask` gives them.
    """
    return [] if all(mask.all() for mask in seen) else ["dark: what the model did not see"]


def _picture_to_input(geometry: Geometry, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    matrix = np.array(geometry.matrix, dtype=np.float64)
    matrix[:, 0] *= geometry.image_size[0] / size[0]
    matrix[:, 1] *= geometry.image_size[1] / size[1]
    # OpenCV puts pixel centres at whole numbers, this package at halves.
    matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    return matrix


def heatmap(share: npt.NDArray[np.float32], seen: npt.NDArray[np.float32], colormap: str = "jet") -> RGB:
    """Return the colours of a map in [0, 1]: in jet, blue for nothing and red for the maximum; black where unseen."""
    cv2 = opencv()
    coloured: RGB = cv2.applyColorMap(grayscale(share), getattr(cv2, f"COLORMAP_{colormap.upper()}"))
    return np.where(seen[:, :, None] > 0, coloured[:, :, ::-1], np.uint8(0))


def grayscale(share: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return a map in [0, 1] as 8-bit grey, (H, W)."""
    return np.asarray((share * 255).round(), dtype=np.uint8)


def overlay(
    picture: RGB,
    share: npt.NDArray[np.float32],
    seen: npt.NDArray[np.float32],
    alpha: float = 0.5,
    colormap: str = "jet",
) -> RGB:
    """Blend the heat map over the picture, and dim what the model did not see.

    Args:
        picture: (H, W, 3) uint8.
        share: The map in [0, 1] on the picture, (H, W).
        seen: 1 where the model saw the picture, 0 elsewhere, (H, W).
        alpha: The heat map's part of the blend, in [0, 1].
        colormap: One of OpenCV's colour maps, in lower case.

    Returns:
        (H, W, 3) uint8.
    """
    blended = (1 - alpha) * picture + alpha * heatmap(share, seen, colormap)
    where = seen[:, :, None] > 0
    return np.asarray(np.where(where, blended, picture * _DIMMED).round(), dtype=np.uint8)


def overlaid(picture: RGB, cam: npt.ArrayLike, geometry: Geometry, style: Style) -> RGB:
    """Return the overlay of a map (h, w) on a picture of its image, (H, W, 3) uint8, the whole image at any scale."""
    size = (picture.shape[1], picture.shape[0])
    share = on_image(normalised(cam, style.normalization), geometry, size)
    return overlay(picture, share, seen_mask(geometry, size), style.alpha, style.colormap)


def signed_overlay(picture: RGB, share: npt.NDArray[np.float32], seen: npt.NDArray[np.float32]) -> RGB:
    """Colour a pale grey picture red where a number is positive and blue where it is negative.

    Args:
        picture: (H, W, 3) uint8.
        share: The number in [-1, 1] on the picture, (H, W); the colour is full at the ends.
        seen: 1 where the number means something, 0 elsewhere, which is dimmed, (H, W).

    Returns:
        (H, W, 3) uint8.
    """
    grey = 128 + picture.mean(axis=2, keepdims=True) / 2
    colour = np.where(share[:, :, None] > 0, np.array(_MORE), np.array(_LESS))
    strength = np.abs(share)[:, :, None]
    coloured = (1 - strength) * grey + strength * colour
    return np.asarray(np.where(seen[:, :, None] > 0, coloured, grey * _DIMMED).round(), dtype=np.uint8)


def contour_rectangles(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Return the bounding rectangle (x1, y1, x2, y2) of each connected part of a mask, the largest area first."""
    cv2 = opencv()
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = [cv2.boundingRect(contour) for contour in contours]
    rectangles = [(int(x), int(y), int(x + w), int(y + h)) for x, y, w, h in found]
    return sorted(rectangles, key=lambda r: (r[0] - r[2]) * (r[3] - r[1]))


@dataclass(frozen=True, eq=False)
class Contour:
    """A closed polygon around a part of a region or around a hole in it.

    Attributes:
        points: Its corners (N, 2), in pixels of the picture.
        is_hole: Whether it bounds a hole.
        is_thin: Whether it is drawn thinner than others.
    """

    points: npt.NDArray[np.float64]
    is_hole: bool = False
    is_thin: bool = False


def contours(inside: npt.NDArray[np.bool_]) -> list[Contour]:
    """Return what bounds the parts and the holes of a mask (H, W)."""
    cv2 = opencv()
    found, hierarchy = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    # The last of four numbers is the contour that goes around: a hole has one, a part has none.
    return [Contour(points[:, 0, :] + 0.5, bool(hierarchy[0, index, 3] >= 0)) for index, points in enumerate(found)]


def outline(
    picture: RGB, points: npt.NDArray[np.float64], colour: Colour, *, dashed: bool = False, width: int = 2
) -> RGB:
    """Return the picture with a closed polygon drawn on it, over a dark edge so that it shows on any ground.

    Args:
        picture: (H, W, 3) uint8.
        points: The corners (N, 2), in pixels of this picture.
        colour: (red, green, blue).
        dashed: Whether to leave gaps.
        width: The line's width in pixels.
    """
    cv2 = opencv()
    drawn = np.ascontiguousarray(picture)
    height, length = picture.shape[:2]
    # The line's middle runs through pixel centres; keep all of it inside, where a region touches the border.
    corners = np.clip(points - 0.5, width, [length - 1 - width, height - 1 - width])
    closed = np.vstack([corners, corners[:1]])
    for colours, thickness in (((0, 0, 0), width + 2), (colour, width)):
        for start, stop in pairwise(closed):
            for first, last in _dashes(start, stop, 5 * width) if dashed else [(start, stop)]:
                ends = [tuple(int(value) for value in np.round(end)) for end in (first, last)]
                cv2.line(drawn, *ends, colours, thickness, cv2.LINE_8)
    return drawn


def _dashes(
    start: npt.NDArray[np.float64], stop: npt.NDArray[np.float64], length: float
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    # An odd number of equal parts, so that both corners are drawn.
    parts = 2 * max(1, int(np.hypot(*(stop - start)) / length / 2)) + 1
    ends = [start + (stop - start) * step / parts for step in range(parts + 1)]
    return list(zip(ends[:-1:2], ends[1::2], strict=True))


def ring(picture: RGB, centre: npt.NDArray[np.float64], colour: Colour) -> RGB:
    """Return the picture with a small ring drawn around a point (x, y), over a dark edge."""
    cv2 = opencv()
    drawn = np.ascontiguousarray(picture)
    point = tuple(int(value) for value in np.round(centre - 0.5))
    for colours, thickness in (((0, 0, 0), 4), (colour, 2)):
        cv2.circle(drawn, point, 6, colours, thickness, cv2.LINE_AA)
    return drawn
