"""What a twin's weights are drawn as."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from pytest_cam import FusedLayers
from pytest_cam.engine.randomising import Twin, stages
from pytest_cam.errors import ModelError


def randomised(model: nn.Module) -> nn.Module:
    """Return the twin of a model with all its weights drawn anew, without gradients."""
    twin = Twin(model)
    generator = torch.Generator().manual_seed(0)
    for name in twin.names:
        twin.randomise(name, generator)
    return twin.model.requires_grad_(False)


class Scaled(nn.Module):
    """A vector that is no bias, a scalar, an empty matrix and whole numbers, beside those that modules have."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((10_000,), -3.0, dtype=torch.float64))
        self.temperature = nn.Parameter(torch.tensor(5.0))
        self.nothing = nn.Parameter(torch.zeros(0, 4))
        self.table = nn.Parameter(torch.arange(4), requires_grad=False)


@pytest.mark.parametrize(
    ("module", "fan_in"),
    [
        (nn.Linear(50, 400), 50),
        (nn.Conv2d(10, 40, (3, 5)), 10 * 3 * 5),
        (nn.Conv2d(40, 400, 3, groups=4), 40 // 4 * 3 * 3),
        (nn.Embedding(50, 400), 400),
    ],
    ids=["linear", "convolution", "groups", "embedding"],
)
def test_matrices_and_kernels_are_normal_with_variance_2_over_fan_in(module: nn.Module, fan_in: int) -> None:
    weight = randomised(module).weight
    assert float(weight.std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
    assert abs(float(weight.mean())) < 0.05 * float(weight.std())
    # Of normal numbers 4.6 % are farther than two deviations from the mean; of uniform ones none is.
    assert float((weight.abs() > 2 * weight.std()).float().mean()) == pytest.approx(0.046, abs=0.01)


def test_biases_are_zero() -> None:
    model = randomised(nn.ModuleList([nn.Linear(3, 4), nn.MultiheadAttention(4, 2), nn.LayerNorm(4)]))
    biases = {name: weight for name, weight in model.named_parameters() if "bias" in name}
    assert list(biases) == ["0.bias", "1.in_proj_bias", "1.out_proj.bias", "2.bias"]
    assert not any(weight.any() for weight in biases.values())


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(4), nn.LayerNorm(4), nn.GroupNorm(2, 4)], ids=lambda n: type(n).__name__
)
def test_normalisations_are_those_of_no_training(norm: nn.Module) -> None:
    with torch.no_grad():
        for weight in norm.parameters():
            weight.fill_(7.0)
    if isinstance(norm, nn.BatchNorm2d):
        norm(torch.randn(8, 4, 3, 3) + 5)
    found = randomised(norm)
    assert found.weight.tolist() == [1, 1, 1, 1]
    assert found.bias.tolist() == [0, 0, 0, 0]
    expected = [[0] * 4, [1] * 4, 0] if isinstance(norm, nn.BatchNorm2d) else []
    assert [each.tolist() for each in found.buffers()] == expected


def test_a_matrix_in_a_normalisation_is_drawn() -> None:
    found = randomised(nn.LayerNorm((50, 40)))
    assert float(found.weight.std()) == pytest.approx((2 / 40) ** 0.5, rel=0.1)


def test_other_vectors_and_scalars_keep_their_root_mean_square() -> None:
    found = randomised(Scaled())
    assert float(found.scale.square().mean().sqrt()) == pytest.approx(3.0, rel=0.05)
    assert abs(float(found.scale.mean())) < 0.1
    assert found.scale.dtype == torch.float64
    assert float(found.temperature) != 5.0
    assert abs(float(found.temperature)) < 5 * 5.0
    # Neither has a number that could be drawn.
    assert found.nothing.shape == (0, 4)
    assert found.table.tolist() == [0, 1, 2, 3]


def test_a_vector_in_half_precision_whose_squares_overflow_is_drawn() -> None:
    model = nn.Module()
    model.scale = nn.Parameter(torch.full((1000,), 1000.0, dtype=torch.float16))
    assert float(randomised(model).scale.float().std()) == pytest.approx(1000.0, rel=0.1)


def test_the_model_and_the_global_generator_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    found = randomised(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not torch.equal(found[0].weight, model[0].weight)


def test_modules_go_from_the_output_on_and_those_without_weights_are_none() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.GELU()))
    assert Twin(model).names == ("2.0", "0")


def test_a_layer_of_the_model_has_its_copy_in_the_twin() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 4))
    twin = Twin(model)
    assert isinstance(twin.model, nn.Sequential)
    assert twin.layer(model[1]) is twin.model[1]
    assert twin.layer("1") == "1"
    fused = twin.layer(FusedLayers(model[0], "1", by="mean"))
    assert isinstance(fused, FusedLayers)
    assert fused.layers[0] is twin.model[0]
    assert (fused.layers[1], fused.by) == ("1", "mean")


def test_a_model_of_no_floating_point_weights_is_an_error() -> None:
    with pytest.raises(ModelError, match="no floating point weights"):
        Twin(nn.ReLU())


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(5, 2, ["ab", "cde"]), (5, 3, ["a", "bc", "de"]), (3, 5, ["a", "b", "c"]), (4, 1, ["abcd"])],
)
def test_stages_have_about_one_length_and_keep_the_order(count: int, most: int, expected: list[str]) -> None:
    found: Iterator[tuple[str, ...]] = stages(tuple("abcde"[:count]), most)
    assert ["".join(each) for each in found] == expected
