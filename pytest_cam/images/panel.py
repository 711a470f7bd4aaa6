"""Pictures side by side under a caption."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pytest_cam.images.loading import RGB

_GAP = 12
_INK, _SOFT, _PAPER = (24, 24, 27), (95, 95, 105), (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a panel and its title."""

    title: str
    picture: RGB


def enlarged(picture: RGB, longest: int) -> RGB:
    """Return a picture with its longer side at exactly that many pixels; small ones keep their hard pixels."""
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(picture).resize(size, how))


def panel(tiles: Sequence[Tile], headline: str, lines: Sequence[str]) -> RGB:
    """Put pictures of one size side by side, each under its title, and a caption below.

    Args:
        tiles: The pictures, (H, W, 3) uint8.
        headline: The caption's first line, larger.
        lines: The rest of the caption; long lines are wrapped.

    Returns:
        (H, W, 3) uint8.
    """
    large, small = ImageFont.load_default(17), ImageFont.load_default(14)
    width = max(sum(tile.picture.shape[1] for tile in tiles) + _GAP * (len(tiles) + 1), 3 * 160)
    head = _wrapped(headline, large, width - 2 * _GAP)
    body = [part for line in lines for part in _wrapped(line, small, width - 2 * _GAP)]
    top = _GAP + 20
    below = top + max(tile.picture.shape[0] for tile in tiles) + _GAP
    sheet = Image.new("RGB", (width, below + 24 * len(head) + 20 * len(body) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    left = _GAP
    for tile in tiles:
        pen.text((left, _GAP - 2), tile.title, font=small, fill=_SOFT)
        sheet.paste(Image.fromarray(tile.picture), (left, top))
        left += tile.picture.shape[1] + _GAP
    for line in head:
        pen.text((_GAP, below), line, font=large, fill=_INK)
        below += 24
    for line in body:
        pen.text((_GAP, below), line, font=small, fill=_SOFT)
        below += 20
    return np.array(sheet)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    # Pillow's own font is the only one that is everywhere, and it has no letters beyond ASCII.
    plain = unicodedata.normalize("NFKD", text)
    shown = "".join(letter for letter in plain if not unicodedata.combining(letter)).encode("ascii", "replace").decode()
    lines = [""]
    for word in shown.split(" "):
        candidate = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(candidate) > width:
            lines.append(word)
        else:
            lines[-1] = candidate
    return lines
