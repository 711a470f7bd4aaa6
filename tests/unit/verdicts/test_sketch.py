"""The map in characters: boxes keep their corners, and the peak is inside of the outline where the text says so."""

from __future__ import annotations

import io
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cam import Box
from pytest_cam.images.geometry import Geometry
from pytest_cam.verdicts.sketch import COLUMNS_ALONE, COLUMNS_OF_TWO, side_by_side, sketch

GEOMETRY = Geometry.identity((224, 224))


def one_hot(row: int, column: int) -> npt.NDArray[np.float32]:
    """Return a map of 7 x 7 cells of 32 pixels, of which one is the peak."""
    cam = np.zeros((7, 7), dtype=np.float32)
    cam[row, column] = 1
    return cam


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
def test_a_terminal_of_fewer_characters_gets_others(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(sys, "__stdout__", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    lines = sketch(one_hot(1, 1), GEOMETRY, [Box(96, 96, 192, 192)])
    assert lines[0] == "+------------------------------+"
    assert lines[3:5] == ["|     @@@@                     |", "|     @@X@                     |"]
    assert lines[6:8] == ["|           ###############    |", "|           #             #    |"]
    assert all(line.isascii() for line in lines)


def test_a_process_without_a_terminal_draws_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    assert sketch(one_hot(1, 1), GEOMETRY)[0].startswith("┌──")


@pytest.mark.parametrize("box", [(40, 60, 120, 180), (30, 20, 112, 112), (5, 90, 219, 101)])
def test_a_box_that_lies_across_cells_keeps_its_corners(box: tuple[int, ...]) -> None:
    text = "".join(sketch(one_hot(6, 6), GEOMETRY, [Box(*box)]))
    assert [text.count(corner) for corner in "┏┓┗┛"] == [1, 1, 1, 1]


@given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 160), st.integers(1, 160), st.integers(33, 60))
def test_the_peak_is_in_the_outline_of_a_box_where_it_is_in_the_box(
    row: int, column: int, left: int, top: int, side: int
) -> None:
    lines = sketch(one_hot(row, column), GEOMETRY, [Box(left, top, left + side, top + side)])
    x, y = 32 * column + 16, 32 * row + 16
    (place,) = [(line.index("X"), number) for number, line in enumerate(lines) if "X" in line]
    edges = [number for number, line in enumerate(lines) if "━" in line]
    sides = [index for line in lines for index, character in enumerate(line) if character in "┏┓┗┛┃"]
    within = edges[0] < place[1] < edges[-1] and min(sides) < place[0] < max(sides)
    assert within == (left <= x < left + side and top <= y < top + side)


@pytest.mark.parametrize(
    ("shape", "alone", "of_two"),
    [
        ((7, 7), (14, 14), (14, 14)),
        ((10, 10), (20, 20), (10, 10)),  # 20 columns are too many beside others
        ((56, 56), (18, 18), (16, 16)),
        ((2, 4), (12, 24), (8, 16)),
        ((1, 64), (6, 36), (6, 16)),
        ((64, 1), (18, 1), (16, 1)),
    ],
)
def test_size_of_a_picture_in_cells(shape: tuple[int, int], alone: tuple[int, int], of_two: tuple[int, int]) -> None:
    cam = np.zeros(shape, dtype=np.float32)
    cam[0, -1] = 1
    for most, expected in ((COLUMNS_ALONE, alone), (COLUMNS_OF_TWO, of_two)):
        lines = sketch(cam, Geometry.identity((8 * shape[1], 8 * shape[0])), most_columns=most)
        assert (len(lines) - 2, len(lines[0]) // 2 - 2) == expected
        assert "".join(lines).count("X") == 1


@given(st.integers(1, 80), st.integers(1, 80))
def test_a_picture_and_two_beside_one_another_fit_80_characters(rows: int, columns: int) -> None:
    cam, geometry = np.ones((rows, columns), dtype=np.float32), Geometry.identity((columns, rows))
    alone = sketch(cam, geometry)
    both = side_by_side([("", sketch(cam, geometry, most_columns=COLUMNS_OF_TWO))] * 2)
    assert max(map(len, alone + both)) + len("  ") <= 80
    assert 6 <= len(alone) - 2 <= 22


def test_a_title_of_wide_letters_moves_nothing() -> None:
    assert side_by_side([("\u72ac", ["##", "##"]), ("cat", ["==", "=="])]) == ["\u72ac   cat", "##   ==", "##   =="]


def test_a_map_of_zeros_has_no_peak() -> None:
    assert "X" not in "".join(sketch(np.zeros((7, 7), dtype=np.float32), GEOMETRY, [Box(0, 0, 64, 64)]))


def test_fuller_is_stronger_in_fifths_of_the_maximum() -> None:
    cam = np.tile(np.array([0.1, 0.3, 0.5, 0.7, 1.0], dtype=np.float32) * 7, (5, 1))
    # Each cell is three columns of two characters, and three rows.
    row = "│ " + "".join(shade * 6 for shade in " ░▒▓█") + " │"
    lines = sketch(cam, Geometry.identity((5, 5)))
    assert lines[1] == row
    assert lines[2] == row[:26] + "██X███ │"  # the first of the strongest cells
    assert lines[3:16] == [row] * 13


def test_map_that_is_the_same_everywhere_is_so_where_cells_are_pooled() -> None:
    # 20 rows in 18 blocks: two of them are the mean of two cells.
    lines = sketch(np.full((20, 20), 0.3, dtype=np.float32), Geometry.identity((20, 20)))
    assert {line.replace("X", "█") for line in lines[1:-1]} == {"│ " + "██" * 18 + " │"}


def test_sketches_of_other_heights_stand_beside_one_another() -> None:
    assert side_by_side([("one", ["x"]), ("two", ["y", "z"])]) == ["one   two", "x     y", "      z"]
