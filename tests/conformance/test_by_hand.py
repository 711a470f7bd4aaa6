"""The five methods on two channels of 2 x 2, with every number to be checked by hand.

The model passes its input on, and its score is sum(G * A): the input is A, and the head's weights are G.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.ops import Permute

from pytest_cam import attend
from pytest_cam.errors import NonFiniteError

ACTIVATIONS = torch.tensor([[[2.0, 2.0], [3.0, 1.0]], [[1.0, 0.0], [0.0, 2.0]]])
GRADIENTS = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]])


def linear(gradients: torch.Tensor) -> nn.Module:
    model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(8, 2, bias=False))
    model[2].weight.data = torch.stack([torch.zeros(8), gradients.flatten()])
    return model.eval()


def attended(activations: torch.Tensor, gradients: torch.Tensor, method: str) -> list[list[float]]:
    maps = attend(linear(gradients), activations, layer="0", method=method, target=1).map
    return [pytest.approx(row) for row in maps.tolist()]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # The means of G are 1/2 and -1/2: A_1 / 2 - A_2 / 2 = [[0.5, 1], [1.5, -0.5]].
        ("gradcam", [[0.5, 1.0], [1.5, 0.0]]),
        # A_1 sums to 8, so a = 1 / (2 + 1 * 8) = 0.1 at both places where G_1 = 1, and w_1 = 0.2; G_2 has nothing
        # positive, so w_2 = 0: the map is 0.2 A_1.
        ("gradcam++", [[0.4, 0.4], [0.6, 0.2]]),
        # [[1 * 2 - 1 * 1, 0], [0, 1 * 1 - 1 * 2]]
        ("hirescam", [[1.0, 0.0], [0.0, 0.0]]),
        # [[1 * 2, 0], [0, 1 * 1]]; the negative gradients of channel 2 are left out.
        ("layercam", [[2.0, 0.0], [0.0, 1.0]]),
        # w_1 = (1 * 2 + 1 * 1) / 8 = 3/8, w_2 = -(1 + 2) / 3 = -1: [[0.75 - 1, 0.75], [1.125, 0.375 - 2]].
        ("xgradcam", [[0.0, 0.75], [1.125, 0.0]]),
    ],
)
def test_map_by_hand(method: str, expected: list[list[float]]) -> None:
    assert attended(ACTIVATIONS, GRADIENTS, method) == expected


def test_gradcam_plus_plus_counts_nothing_at_its_pole() -> None:
    # Channel 1 sums to -2, so 2 + 1 * -2 = 0 where G = 1; channel 2 sums to 3: a = 1 / (2 + 3) and w_2 = 1/5.
    activations = torch.tensor([[[-2.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]]])
    gradients = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    assert attended(activations, gradients, "gradcam++") == [[0.2, 0.0], [0.0, 0.4]]


def test_gradcam_plus_plus_keeps_a_negative_denominator() -> None:
    # Channel 1 sums to -3: a = 1 / (2 - 3) = -1, so w_1 = -1 and w_1 A_1 = [[4, 0], [0, -1]].
    activations = torch.tensor([[[-4.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    gradients = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert attended(activations, gradients, "gradcam++") == [[4.0, 0.0], [0.0, 0.0]]


def test_xgradcam_counts_a_channel_that_sums_to_zero_as_nothing() -> None:
    # Channel 1 sums to 1 - 1 = 0; channel 2 to 3: w_2 = (1 * 1 + 0 * 2) / 3.
    activations = torch.tensor([[[1.0, -1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]]])
    gradients = torch.tensor([[[5.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    assert attended(activations, gradients, "xgradcam") == [[1 / 3, 0.0], [0.0, 2 / 3]]


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_hirescam_before_a_norm_of_the_channels_is_zero_and_not_what_rounding_leaves_of_it(kind: torch.dtype) -> None:
    # The norm of 2 A is that of A, so G . A, by how much the score grows with the size of A, is zero at every position.
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Identity(), Permute([0, 2, 3, 1]), nn.LayerNorm(64, eps=0.0), nn.Flatten(), nn.Linear(576, 2)
    )
    model, image = model.to(kind).eval(), torch.randn(64, 3, 3, dtype=kind)
    assert attend(model, image, layer="0", method="gradcam-elementwise", target=1).map.min() > 0
    assert attend(model, image, layer="0", method="hirescam", target=1).map.max() == 0


def test_hirescam_that_overflows_is_no_map_of_zeros() -> None:
    with pytest.raises(NonFiniteError):
        attended(1e20 * ACTIVATIONS, 1e20 * GRADIENTS, "hirescam")


def test_gradcam_plus_plus_that_overflows_is_no_map_of_zeros() -> None:
    # Channel 1 sums to 4e308, which is infinite in float64, too.
    model = linear(GRADIENTS).double()
    with pytest.raises(NonFiniteError):
        attend(model, 0.5e308 * ACTIVATIONS.double(), layer="0", method="gradcam++", target=1)


def test_map_is_not_normalised() -> None:
    # Ten times the gradients: ten times the Grad-CAM map of the table above.
    assert attended(ACTIVATIONS, 10 * GRADIENTS, "gradcam") == [[5.0, 10.0], [15.0, 0.0]]
