"""Several attentions of one image side by side."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_cam.attention import Attention
from pytest_cam.errors import ImageError, is_ours
from pytest_cam.images import drawing
from pytest_cam.images.loading import RGB
from pytest_cam.images.panel import Tile, enlarged, panel

__tracebackhide__ = is_ours

_TILE = 224


def strip(attentions: Sequence[Attention], alpha: float = 0.5) -> RGB:
    """Draw several attentions of one image as one strip: the image, then each heat map over it.

    Each map is coloured from zero to its own maximum; what the model did not see is dimmed.

    Args:
        attentions: Attentions of one image, as `attend(model, img, layer=[...])` gives them.
        alpha: The heat maps' part of the blend, in [0, 1].

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: There are no attentions, or they are of images that differ in size.
        DependencyError: OpenCV does not import here.
    """
    if not attentions:
        raise ImageError("there are no attentions to draw; accepted: a list of attentions of one image")
    sizes = {attention.image.size for attention in attentions}
    if len(sizes) > 1:
        raise ImageError(f"the attentions of a strip must be of one image, and these are of images of {sorted(sizes)}")
    first = attentions[0]
    picture = enlarged(drawing.reduced(first.image.rgb()), _TILE)
    size = (picture.shape[1], picture.shape[0])
    tiles = [Tile("image", picture)]
    for attention in attentions:
        share = drawing.on_image(drawing.normalised(attention.map), attention.geometry, size)
        seen = drawing.seen_mask(attention.geometry, size)
        rows, columns = attention.map.shape
        tiles.append(Tile(f"{attention.layer}, {rows} x {columns}", drawing.overlay(picture, share, seen, alpha)))
    methods = ", ".join(dict.fromkeys(attention.method for attention in attentions))
    names = ", ".join(dict.fromkeys(attention.explained.name for attention in attentions))
    return panel(tiles, f"{names} ({methods})", [f"image: {first.image.name}", "each map from zero to its own maximum"])
