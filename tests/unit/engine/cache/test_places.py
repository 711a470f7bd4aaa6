"""What shows where a tensor is given other data, or the same data to be read in another way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from pytest_cam.engine.cache.places import Places

CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "other memory": lambda data: data.clone(),
    "fewer": lambda data: data[:2],
    "every other": lambda data: data[::2],
    "one repeated": lambda data: data[:1].expand(data.shape),
    "another axis": lambda data: data[None],
    "in one row": lambda data: data.reshape(1, -1),
    "turned": lambda data: data.t(),
}


@pytest.mark.parametrize("shape", [(4,), (4, 4), (8, 4)], ids=str)
@pytest.mark.parametrize("change", CHANGES)
def test_other_data_shows(change: str, shape: tuple[int, ...]) -> None:
    parameter = nn.Parameter(torch.zeros(shape))
    places = Places.of([torch.zeros(3), parameter, torch.zeros(2, 2)])
    data = parameter.data
    parameter.data = CHANGES[change](data)
    is_another = (parameter.data_ptr(), parameter.shape, parameter.stride()) != (
        data.data_ptr(),
        data.shape,
        data.stride(),
    )
    assert is_another is (change != "turned" or len(shape) > 1)
    assert places.hold() is not is_another
    parameter.data = data
    assert places.hold()


def test_holes_of_a_vector_show_when_they_go() -> None:
    parameter = nn.Parameter(torch.zeros(8))
    whole = parameter.data
    parameter.data = whole[::2]
    places = Places.of([parameter])
    assert places.hold()
    parameter.data = whole[:4]
    assert not places.hold()
