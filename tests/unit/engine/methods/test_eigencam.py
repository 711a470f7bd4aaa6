from __future__ import annotations

import pytest
import torch

from pytest_cam.engine.methods.eigencam import eigencam


def as_rows(maps: torch.Tensor) -> list[list[float]]:
    return [pytest.approx(row, abs=1e-6) for row in maps[0].tolist()]


def test_map_by_hand() -> None:
    # Both channels follow the pattern 3, -1, -1, -1 around their means, by 1 and by 2: the axis is (1, 2) / sqrt(5),
    # and the projection sqrt(5) times the pattern.
    pattern = torch.tensor([[3.0, -1.0], [-1.0, -1.0]])
    activations = torch.stack([pattern + 4, 2 * pattern + 10]).unsqueeze(0)
    assert eigencam(activations)[0].tolist() == as_rows(5**0.5 * torch.tensor([[[3.0, 0.0], [0.0, 0.0]]]))


def test_more_positions_than_channels_make_no_difference() -> None:
    # One channel: its own deviations from the mean. Six: the same, by the other of the two decompositions.
    channel = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    expected = as_rows(torch.tensor([[[0.0, 0.0], [0.0, 2.0]]]))
    assert eigencam(channel.expand(1, 1, 2, 2))[0].tolist() == expected
    assert (eigencam(channel.expand(1, 6, 2, 2))[0] / 6**0.5).tolist() == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_map_is_where_most_channels_are_high(sign: int) -> None:
    # Two channels go up in the first place and one goes down there: the mean correlation is (1 + 1 - 1) / 3.
    up = sign * torch.tensor([[3.0, -1.0], [-1.0, -1.0]])
    found = eigencam(torch.stack([up, up, -up]).unsqueeze(0))[0]
    assert bool((found > 0).flatten().tolist() == [value > 0 for value in up.flatten().tolist()])


def test_sign_is_that_of_the_correlations_also_where_the_channels_sum_to_nothing() -> None:
    # As after a normalisation over the channels: their covariances with anything cancel, their correlations do not.
    up = torch.tensor([[3.0, -1.0], [-1.0, -1.0]])
    found = eigencam(torch.stack([up, up, -2 * up]).unsqueeze(0))
    assert found[0].tolist() == as_rows(6**0.5 * torch.tensor([[[3.0, 0.0], [0.0, 0.0]]]))


def test_map_of_two_opposite_channels_is_zero() -> None:
    up = torch.tensor([[3.1, -1.0], [-1.0, -1.0]])
    assert eigencam(torch.stack([up, -up]).unsqueeze(0)).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_map_of_constant_channels_is_exactly_zero() -> None:
    activations = torch.full((1, 3, 13, 13), 0.7, dtype=torch.float64)
    # In floating point their mean is not 0.7, and a plain centring leaves something.
    assert float(activations.flatten(2).transpose(1, 2).mean(dim=1)[0, 0]) != 0.7
    assert not eigencam(activations).any()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scaled_activations_scale_the_map(scale: float) -> None:
    activations = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(eigencam(activations * scale) / scale, eigencam(activations))
