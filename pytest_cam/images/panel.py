"""Pictures side by side, in rows, above a caption."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pytest_cam.images.loading import RGB

_GAP = 12
# A sheet is as wide as a page of a browser or a notebook shows without scrolling.
_WIDEST, _MOST_COLUMNS = 1240, 5
_MOST_HEAD = 4  # lines
_NARROWEST = 96  # of a column, so that titles have room for a few letters in a line
_LEAST_SIDE = 48  # of a picture, so that outlines and what is in them can be told apart
# Dashes and quotation marks of typesetters, as a keyboard has them.
_PLAIN = str.maketrans("\u2010\u2013\u2014\u2018\u2019\u201c\u201d", "---''\"\"")
_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Ink: TypeAlias = tuple[int, int, int]
_INK, _SOFT, _PAPER = (24, 24, 27), (95, 95, 105), (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a panel and its title."""

    title: str
    picture: RGB


def enlarged(picture: RGB, longest: int) -> RGB:
    """Return a picture with its longer side at exactly that many pixels; small ones keep their hard pixels.

    A strip of which the shorter side would be less than 48 pixels is stretched to that: see `stretched`.
    """
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    size = max(_LEAST_SIDE, round(width * scale)), max(_LEAST_SIDE, round(height * scale))
    how = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(picture).resize(size, how))


def tile_of(picture: RGB, longest: int) -> RGB:
    """Return a picture at the size of a tile: its longer side at that many pixels, or, of a long strip, up to twice.

    Args:
        picture: (H, W, 3) uint8.
        longest: The longer side of a picture that is less than twice as long as wide, in pixels.
    """
    height, width = picture.shape[:2]
    # A long strip is drawn larger, so that its short side can still be read.
    needed = round(longest / 2 * max(height, width) / min(height, width))
    return enlarged(picture, min(2 * longest, max(longest, needed)))


def stretched(picture: RGB, tile: RGB) -> list[str]:
    """Return the line of a caption that says how a picture is stretched in its tile; none where it is not."""
    times = tile.shape[0] / picture.shape[0] * picture.shape[1] / tile.shape[1]
    if 0.9 < times < 1.1:  # sides are whole pixels
        return []
    what = f"{times:.2g} times as high" if times > 1 else f"{1 / times:.2g} times as wide"
    return [f"drawn about {what} as it is, so that it can be read"]


def panel(tiles: Sequence[Tile], headline: str, lines: Sequence[str]) -> RGB:
    """Put pictures of one size side by side, each under its title, and a caption below.

    Pictures that would make the sheet too wide go to further rows, as even in length as possible.

    Args:
        tiles: The pictures, (H, W, 3) uint8; their titles are wrapped to their widths.
        headline: What the caption begins with, larger; of a long text, what goes into four lines.
        lines: The rest of the caption; long lines are wrapped.

    Returns:
        (H, W, 3) uint8.
    """
    large, small = ImageFont.load_default(17), ImageFont.load_default(14)
    column = max(_NARROWEST, *(tile.picture.shape[1] for tile in tiles))
    rows = _rows(tiles, column)
    width = max((column + _GAP) * len(rows[0]) + _GAP, 3 * 160)
    titles = [[_wrapped(tile.title, small, column) for tile in row] for row in rows]
    tops = [_GAP]
    for row, texts in zip(rows, titles, strict=True):
        tops.append(tops[-1] + 20 * max(map(len, texts)) + max(tile.picture.shape[0] for tile in row) + _GAP)
    head = _shortened(_wrapped(headline, large, width - 2 * _GAP))
    body = [part for line in lines for part in _wrapped(line, small, width - 2 * _GAP)]
    sheet = Image.new("RGB", (width, tops[-1] + 24 * len(head) + 20 * len(body) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for top, row, texts in zip(tops, rows, titles, strict=False):
        below = top + 20 * max(map(len, texts))
        for index, (tile, title) in enumerate(zip(row, texts, strict=True)):
            left = _GAP + index * (column + _GAP)
            # A shorter title stands at its picture, not above a gap.
            _write(pen, (left, below - 20 * len(title) - 2), title, small, _SOFT, 20)
            sheet.paste(Image.fromarray(tile.picture), (left, below))
    _write(pen, (_GAP, tops[-1]), head, large, _INK, 24)
    _write(pen, (_GAP, tops[-1] + 24 * len(head)), body, small, _SOFT, 20)
    return np.array(sheet)


def _rows(tiles: Sequence[Tile], column: int) -> list[Sequence[Tile]]:
    fitting = min(_MOST_COLUMNS, max(1, (_WIDEST - _GAP) // (column + _GAP)))
    columns = -(-len(tiles) // -(-len(tiles) // fitting))
    return [tiles[start : start + columns] for start in range(0, len(tiles), columns)]


def _write(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str], font: _Font, ink: _Ink, step: int
) -> None:
    for number, line in enumerate(lines):
        pen.text((place[0], place[1] + step * number), line, font=font, fill=ink)


def _wrapped(text: str, font: _Font, width: int) -> list[str]:
    lines = [""]
    for word in _drawable(text).split():
        candidate = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(candidate) <= width:
            lines[-1] = candidate
        else:
            lines.append(word)
        if font.getlength(lines[-1]) > width:
            lines[-1:] = _broken(lines[-1], font, width)
    return lines


def _drawable(text: str) -> str:
    """Return a text in letters that the font has: accents go, and any other letter becomes Python's escape of it."""
    # Pillow's own font is the only one that is everywhere, and it has no letters beyond ASCII. A question mark in their
    # place would give two classes, or two files, one name.
    shown = []
    for letter in unicodedata.normalize("NFC", text.translate(_PLAIN)):
        plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
        shown.append(plain if plain.isascii() else letter.encode("ascii", "backslashreplace").decode())
    return "".join(shown)


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _MOST_HEAD:
        return lines
    return [*lines[: _MOST_HEAD - 1], f"{lines[_MOST_HEAD - 1].rpartition(' ')[0]} ..."]


def _broken(word: str, font: _Font, width: int) -> list[str]:
    """Break what is wider than a line, such as a module's name: after a mark where there is one, else anywhere."""
    lines = [""]
    for part in re.findall(r"[^./_-]*[./_-]|[^./_-]+", word):
        if lines[-1] and font.getlength(lines[-1] + part) > width:
            lines.append("")
        for letter in part:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines
