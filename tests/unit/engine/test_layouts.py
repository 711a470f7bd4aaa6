"""Where the activations lie in what a layer returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

from pytest_cam.engine.layouts import first_tensor, is_spatial, with_first_tensor

ONE, TWO, NEW = torch.ones(1), torch.ones(2), torch.zeros(1)


class Output(NamedTuple):
    name: str
    features: torch.Tensor
    more: torch.Tensor


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (ONE, ONE),
        ((ONE, TWO), ONE),
        ([None, TWO, ONE], TWO),
        (Output("x", TWO, ONE), TWO),
        ((), None),
        (("a", 1), None),
        ({"features": ONE}, None),
        (None, None),
    ],
)
def test_first_tensor(output: Any, expected: torch.Tensor | None) -> None:
    assert first_tensor(output) is expected


def test_replaced_tensor_leaves_the_rest_and_the_type() -> None:
    assert with_first_tensor(ONE, NEW) is NEW
    assert with_first_tensor((None, ONE, TWO), NEW) == (None, NEW, TWO)
    assert with_first_tensor([ONE, "rest"], NEW) == [NEW, "rest"]
    replaced = with_first_tensor(Output("x", ONE, TWO), NEW)
    assert type(replaced) is Output
    assert replaced == ("x", NEW, TWO)


def test_a_tensor_that_is_there_twice_is_replaced_twice() -> None:
    assert all(item is NEW for item in with_first_tensor((ONE, ONE), NEW))


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((1, 3, 2, 1), torch.float32, True),
        ((1, 3, 1, 2), torch.float16, True),
        ((1, 3, 1, 1), torch.float32, False),
        ((1, 3, 4), torch.float32, False),
        ((1, 3, 4, 4, 4), torch.float32, False),
        ((1, 3, 2, 2), torch.int64, False),
    ],
)
def test_spatial_is_a_grid_of_more_than_one_cell(shape: tuple[int, ...], dtype: torch.dtype, expected: bool) -> None:
    assert is_spatial(torch.zeros(shape, dtype=dtype)) is expected
