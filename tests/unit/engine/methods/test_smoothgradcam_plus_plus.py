from __future__ import annotations

from typing import Any

import pytest
import torch

from pytest_cam.engine.methods.gradcam_plus_plus import gradcam_plus_plus
from pytest_cam.engine.methods.resources import Make, Traces
from pytest_cam.engine.methods.smoothgradcam_plus_plus import smoothgradcam_plus_plus
from pytest_cam.errors import MethodError

ACTIVATIONS = torch.tensor([[[[1.0, 2.0], [0.0, 1.0]]]])
IMAGE = torch.tensor([[[[-6.0, 4.0], [-2.0, 0.0]]]])


def returning(gradients: torch.Tensor) -> Traces:
    return lambda count, make: (gradients, gradients)


def test_map_by_hand(generator: torch.Generator) -> None:
    # Two copies with G = 1 and 3 in the first place: D1 = 2, D2 = 5, D3 = 14, A sums to 4, so a = 5 / (10 + 56), and
    # w = 10 / 66. In the second place G is -1 and -3: D1 < 0 counts nothing. In the third one it is 0 and 2: D1 = 1,
    # D2 = 2, D3 = 4, a = 2 / (4 + 16), and w = 1 / 10.
    gradients = torch.tensor([[[[1.0, -1.0], [0.0, 0.0]]], [[[3.0, -3.0], [2.0, 0.0]]]])
    found = smoothgradcam_plus_plus(ACTIVATIONS, IMAGE, returning(gradients), generator, samples=2)
    torch.testing.assert_close(found, (10 / 66 + 1 / 10) * ACTIVATIONS[0])


def test_copies_without_noise_give_gradcam_plus_plus(generator: torch.Generator) -> None:
    activations, gradients = torch.randn(2, 1, 4, 3, 3, generator=generator)
    found = smoothgradcam_plus_plus(activations, IMAGE, returning(gradients.expand(3, 4, 3, 3)), generator, samples=3)
    torch.testing.assert_close(found, gradcam_plus_plus(activations, gradients))


def test_noise_is_a_share_of_the_range_of_the_input(generator: torch.Generator) -> None:
    made = []

    def trace(count: int, make: Make) -> tuple[torch.Tensor, torch.Tensor]:
        made.append(make(0, count))
        # A batch of it, and made once more: the same copies.
        assert torch.equal(make(7, 9), made[0][7:9])
        return torch.ones(count, 1, 2, 2), torch.ones(count, 1, 2, 2)

    smoothgradcam_plus_plus(ACTIVATIONS, IMAGE, trace, generator, samples=2000, noise=0.2)
    # The range is 10, so the deviation is 2; 8000 draws know it to 1 %.
    assert float((made[0] - IMAGE).std()) == pytest.approx(2.0, rel=0.05)
    assert float((made[0] - IMAGE).mean()) == pytest.approx(0.0, abs=0.1)


def test_a_place_where_the_formula_has_no_value_counts_nothing(generator: torch.Generator) -> None:
    # A sums to -2: in the first place 2 * 1 - 2 * 1 = 0; in the second, where G = 0.5, a = 1 / (2 - 1) and w = 0.5.
    activations = torch.tensor([[[[-3.0, 1.0], [0.0, 0.0]]]])
    gradients = torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]])
    found = smoothgradcam_plus_plus(activations, IMAGE, returning(gradients), generator, samples=1)
    assert found.tolist() == [[[0.0, 0.5], [0.0, 0.0]]]


def test_map_keeps_its_digits_near_the_pole(generator: torch.Generator) -> None:
    # 2 + G sum A is about 1e-4 in three places: two numbers of about 2 cancel there.
    activations = torch.tensor([[[[-1.7, 0.3], [-1.1, -0.8]]]])
    gradients = torch.tensor([[[[0.1, 0.60603], [0.60601, 0.60602]]]])
    wide, steep = activations.double(), gradients.double()
    expected = ((steep / (2 + steep * wide.sum())).sum() * wide[0]).relu()
    found = smoothgradcam_plus_plus(activations, IMAGE, returning(gradients), generator, samples=1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [("samples", 0, "a whole number at least 1"), ("noise", -0.1, "0 or a finite number above it")],
)
def test_an_option_that_cannot_be_is_an_error(
    generator: torch.Generator, option: str, value: Any, accepted: str
) -> None:
    with pytest.raises(MethodError) as caught:
        smoothgradcam_plus_plus(ACTIVATIONS, IMAGE, returning(IMAGE), generator, **{option: value})
    assert str(caught.value) == f"smoothgradcam++: {option}={value!r}, where {accepted} is accepted"
