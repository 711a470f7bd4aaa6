from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pytest_cam.engine.methods.eigencam import eigencam
from pytest_cam.engine.methods.kpcacam import kpcacam
from pytest_cam.errors import MethodError


def test_map_by_hand() -> None:
    # Two places 1 and -1 around the mean: the kernel is a = tanh(2) between equal ones, b = tanh(0) between unequal
    # ones, where gamma is 1. Centred, its one eigenvalue is a - b, of (1, -1) / sqrt(2).
    found = kpcacam(torch.tensor([[[[5.0, 3.0]]]]))
    expected = math.sqrt((math.tanh(2) - math.tanh(0)) / 2)
    assert found.tolist() == [[pytest.approx([expected, 0.0])]]


def test_gamma_stands_before_the_product() -> None:
    found = kpcacam(torch.tensor([[[[5.0, 3.0]]]]), gamma=0.5)
    expected = math.sqrt((math.tanh(1.5) - math.tanh(0.5)) / 2)
    assert found.tolist() == [[pytest.approx([expected, 0.0])]]


def test_gamma_is_one_over_the_channels_where_it_is_not_given() -> None:
    activations = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(kpcacam(activations), kpcacam(activations, gamma=0.25))


def test_small_activations_give_the_map_of_eigencam() -> None:
    # The slope of tanh at 1 is what is left of the kernel.
    activations = 1e-12 * torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slope = (1 - math.tanh(1) ** 2) / 4
    torch.testing.assert_close(kpcacam(activations), eigencam(activations) * slope**0.5, rtol=1e-9, atol=0.0)


def test_map_of_constant_channels_is_exactly_zero() -> None:
    assert not kpcacam(torch.full((1, 3, 13, 13), 0.7, dtype=torch.float64)).any()


@pytest.mark.parametrize("gamma", [0, -1.0, math.inf, math.nan, "1", True])
def test_gamma_that_is_no_positive_number_is_an_error(gamma: Any) -> None:
    with pytest.raises(MethodError) as caught:
        kpcacam(torch.zeros(1, 1, 2, 2), gamma=gamma)
    assert str(caught.value) == f"kpcacam: gamma={gamma!r}, where a finite number above 0 is accepted"
