"""Several attentions of one image side by side, as a picture and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_cam.attention import Attention
from pytest_cam.columns import to_the_left, to_the_right, widths_of
from pytest_cam.errors import EmptyMapError, ImageError, KeywordError, VacuousError, is_ours, kind_of
from pytest_cam.images import drawing
from pytest_cam.images.frames import Frame
from pytest_cam.images.loading import RGB
from pytest_cam.images.panel import Tile, panel, stretched, tile_of
from pytest_cam.images.style import Style
from pytest_cam.labels import facts, labels, require_one_image

__tracebackhide__ = is_ours

_TILE = 224
# The columns of a table that hold one number each.
_NUMBERS = (3, 4)


def strip(attentions: Sequence[Attention], alpha: float = 0.5) -> RGB:
    """Draw several attentions of one image side by side: the image, then each heat map over it, in rows.

    Each tile is labelled by what differs: the method, the layer, the target, the map's grid. What is the same in all
    stands in the caption. Each map is coloured from zero to its own maximum; what the model did not see is dimmed.

    Args:
        attentions: Attentions of one image, as `attend(model, img, layer=[...])` gives them.
        alpha: The heat maps' part of the blend, in [0, 1].

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: There are no attentions, or they are of images that differ in size or in pixels.
        KeywordError: It is no list, or one of something else.
        SettingError: alpha is not in [0, 1].
        DependencyError: OpenCV does not import here.
    """
    _require_some(attentions, "draw", "strip")
    style = Style(alpha=alpha)
    image = attentions[0].image
    whole = drawing.reduced(image.rgb())
    picture = tile_of(whole, _TILE)
    size = (picture.shape[1], picture.shape[0])
    titles, common = labels(attentions)
    tiles = [Tile("image", picture)]
    for title, attention in zip(titles, attentions, strict=True):
        tiles.append(Tile(title, drawing.overlaid(picture, attention.map, attention.geometry, style)))
    about = [f"image: {image.name}", "each map from zero to its own maximum"]
    about += drawing.unseen(drawing.seen_mask(attention.geometry, size) for attention in attentions)
    about += stretched(whole, picture)
    headline = ", ".join(common) or ("one attention" if len(attentions) == 1 else "several attentions")
    return panel(tiles, headline, about)


def table(attentions: Sequence[Attention], region: Any, *, frame: Frame = "image") -> str:
    """Return a Markdown table of several attentions of one image: how well each lies in a region.

    Args:
        attentions: Attentions of one image.
        region: A `Box`, `Polygon` or `Mask`, (x1, y1, x2, y2) in image pixels, or several of these.
        frame: "input" where the region is in pixels of the model's input instead.

    Returns:
        A row for each attention: method, layer, target, skill and energy in the region, peak (x, y) in image pixels.
        Where a map is zero everywhere the numbers are "none", and where the region leaves skill without a meaning
        that is "vacuous".

    Raises:
        ImageError: There are no attentions, or they are of images that differ in size or in pixels.
        KeywordError: It is no list, or one of something else.
        RegionError: The region is malformed, empty, outside the image, or outside what the model saw.
    """
    _require_some(attentions, "list", "table")
    known = facts(attentions)
    rows: list[tuple[str, ...]] = [("method", "layer", "target", "skill", "energy", "peak")]
    for index, attention in enumerate(attentions):
        named = (known["method"][index], known["layer"][index], known["target"][index])
        rows.append((*(text.replace("|", "\\|") for text in named), *_numbers(attention, region, frame)))
    widths = widths_of(rows)
    lines = [_line(row, widths) for row in rows]
    # In Markdown a colon after the dashes puts numbers to the right.
    rule = _line([f"{'-' * (width - 1)}{':' if c in _NUMBERS else '-'}" for c, width in enumerate(widths)], widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        to_the_right(cell, width) if column in _NUMBERS else to_the_left(cell, width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _numbers(attention: Attention, region: Any, frame: Frame) -> tuple[str, str, str]:
    try:
        energy = attention.energy_in(region, frame=frame)
    except EmptyMapError:
        return "none", "none", "none"
    try:
        skill = f"{attention.skill_in(region, frame=frame):.2f}"
    except VacuousError:
        skill = "vacuous"
    x, y = attention.peak
    return skill, f"{energy:.2f}", f"({x:.0f}, {y:.0f})"


def _require_some(attentions: Sequence[Attention], purpose: str, what: str) -> None:
    accepted = "accepted: a list of attentions of one image, as attend(model, img, layer=[...]) returns"
    if isinstance(attentions, Attention):
        raise KeywordError(f"{what} got an Attention; {accepted}, or [attention] for a single one")
    if not isinstance(attentions, (list, tuple)):
        raise KeywordError(f"{what} got {kind_of(attentions)}; {accepted}")
    if not attentions:
        raise ImageError(f"there are no attentions to {purpose}; accepted: a list of attentions of one image")
    for index, each in enumerate(attentions):
        if not isinstance(each, Attention):
            raise KeywordError(f"{what} got a list with {kind_of(each)} at index {index}; {accepted}")
    require_one_image(attentions, what)
