"""What a glance at a model's tensors notices, and that it reads the tensors themselves, never copies."""

from __future__ import annotations

import pytest
import torch

from pytest_cam.engine.cache.glances import Glances

KINDS = (torch.bool, torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64)


LAYOUTS = {
    "rows": lambda: torch.zeros(6, 4),
    "rows, an odd number": lambda: torch.zeros(5, 4),
    "one row": lambda: torch.zeros(1, 4),
    "rows of one": lambda: torch.zeros(5, 1),
    "filters": lambda: torch.zeros(5, 3, 2, 2),
    "filters in channels_last": lambda: torch.zeros(6, 3, 2, 2).to(memory_format=torch.channels_last),
    "filters in channels_last_3d": lambda: torch.zeros(3, 3, 2, 2, 2).to(memory_format=torch.channels_last_3d),
    "transposed": lambda: torch.zeros(4, 5).T,
    "part of a larger one": lambda: torch.zeros(9, 8)[2:7, 3:6],
    "rows of a larger one": lambda: torch.zeros(9, 8)[2:7],
    "vector": lambda: torch.zeros(7),
    "every other of a vector": lambda: torch.zeros(14)[::2],
    "repeated": lambda: torch.zeros(1, 3).expand(4, 3),
}
_OF_VECTORS = {"vector", "every other of a vector"}
# Of what does not lie side by side in memory, as hardly any weight, the first column alone is looked at.
_WITH_HOLES = {"transposed", "part of a larger one", "repeated"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_write_to_any_row_shows_and_its_undoing_too(layout: str, kind: torch.dtype) -> None:
    tensor = LAYOUTS[layout]().to(kind)  # `to` keeps strides
    glances = Glances.at([torch.zeros(3), tensor, torch.zeros(2, 2)])
    for row in range(len(tensor)):
        tensor.data[row] = 1
        assert not glances.hold(), f"row {row}"
        tensor.data[row] = 0
        assert glances.hold()


def test_numbers_show() -> None:
    number = torch.tensor(2.0)
    glances = Glances.at([number])
    number.data.fill_(3)
    assert not glances.hold()


@pytest.mark.parametrize("step", [1, 2])
def test_the_other_zero_shows(step: int) -> None:
    vector = torch.zeros(6)[::step]
    glances = Glances.at([vector])
    vector.data[1] = -0.0
    assert not glances.hold()


@pytest.mark.parametrize("layout", sorted(LAYOUTS.keys() - _OF_VECTORS - _WITH_HOLES))
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_write_to_any_column_shows(layout: str, kind: torch.dtype) -> None:
    tensor = LAYOUTS[layout]().to(kind)
    glances = Glances.at([torch.zeros(3), tensor, torch.zeros(2, 2)])
    for column in range(tensor.shape[1]):
        tensor.data[:, column] = 1
        assert not glances.hold(), f"column {column}"
        tensor.data[:, column] = 0
        assert glances.hold()


@pytest.mark.parametrize(
    ("shape", "step"),
    [((64, 2, 1, 1), 1), ((65, 2, 1, 1), 2), ((512, 2, 1, 1), 8), ((1024, 2), 1), ((1025, 2), 2)],
    ids=str,
)
def test_of_many_rows_evenly_spread_ones_are_looked_at(shape: tuple[int, ...], step: int) -> None:
    tensor = torch.zeros(shape)
    glances = Glances.at([tensor])
    shown = []
    for row in range(len(tensor)):
        tensor.data[row] = 1
        shown.append(not glances.hold())
        tensor.data[row] = 0
    assert [row for row, is_shown in enumerate(shown) if is_shown] == list(range(0, len(tensor), step))


def test_what_holds_nothing_is_no_news() -> None:
    assert Glances.at([torch.zeros(0), torch.zeros(0, 4), torch.zeros(4, 0)]).hold()
    assert Glances.at([]).hold()


def test_a_weight_that_is_no_number_is_still_the_same() -> None:
    rows = torch.full((3, 2), float("nan"))
    assert Glances.at([rows, rows.T, rows[0], rows[:, 0]]).hold()


def test_only_vectors_are_looked_at_whole() -> None:
    rows, vector, few = torch.zeros(4, 3), torch.zeros(4), torch.zeros(8)[::2]
    partly = Glances.at([rows, vector, few]).partly
    assert [id(each) for each in partly] == [id(rows), id(few)]
