"""Columns of texts as a terminal shows them."""

from __future__ import annotations

import pytest

from pytest_cam.columns import in_columns, width_of


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("dog", 3),
        ("\u72ac", 2),
        ("\ud55c\uad6d", 4),
        ("\uff71", 1),
        ("\uff21", 2),
        ("\U0001f415", 2),
        ("e\u0301", 1),
        ("\u2588", 1),
    ],
    ids=["Latin", "Chinese", "Korean", "half width", "full width", "emoji", "accent", "block"],
)
def test_a_text_is_as_wide_as_its_letters(text: str, width: int) -> None:
    assert width_of(text) == width


def test_cells_lie_one_below_the_other() -> None:
    rows = [("class", "skill"), ("\u72ac\u72ac\u72ac", "0.5"), ("cat", "")]
    assert in_columns(rows) == ["class   skill", "\u72ac\u72ac\u72ac  0.5", "cat"]
