"""Texts in columns, as a terminal shows them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def width_of(text: str) -> int:
    """Return how many columns a text takes: letters of Chinese, Japanese and Korean and emoji two, accents none."""
    return sum(map(_width_of_one, text))


def to_the_left(text: str, width: int) -> str:
    """Return a text, filled up with blanks to a number of columns."""
    return text + " " * (width - width_of(text))


def to_the_right(text: str, width: int) -> str:
    """Return a text after as many blanks as make a number of columns of it."""
    return " " * (width - width_of(text)) + text


def in_columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Return the lines of a table, its cells one below the other.

    Args:
        rows: Its cells; each row has as many.
        gap: What stands between two of them.
    """
    widths = widths_of(rows)
    return [gap.join(map(to_the_left, row, widths)).rstrip() for row in rows]


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return how many columns each cell of a row takes, as wide as the widest one in its place."""
    return [max(map(width_of, cells)) for cells in zip(*rows, strict=True)]


def _width_of_one(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
