"""The map must come from the weights: of networks whose map is one weight an image column, or none of them."""

import random
import re

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import AttentionError, EmptyMapError, LimitError, assert_attention_depends_on_weights
from pytest_cam.engine import explaining
from pytest_cam.errors import KeywordError, LayerError, ModelError

GREY = torch.ones(1, 8, 8)
HOW = {"layer": "look", "method": "gradcam", "target": 0}


class Columns(nn.Module):
    """At layer `look` the image times one weight a pixel; its mean is the score, so the map is that product."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(1, 8, 8))
        self.weights.data[:, :, :4] = 1.0
        self.look = nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = self.look(image * self.weights)
        return torch.stack([seen.mean(dim=(1, 2, 3)), -seen.mean(dim=(1, 2, 3))], dim=1)


class Bright(nn.Module):
    """The map is the image, whatever the weight: the score is the mean at `look`, times one weight in both classes."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Identity()
        self.head = nn.Linear(1, 2)
        self.head.weight.data.fill_(1.0)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = self.look(image).mean(dim=(2, 3))
        return seen + 1e-6 * self.head(seen)


def test_a_map_made_of_weights_falls_apart() -> None:
    result = assert_attention_depends_on_weights(Columns(), GREY, **HOW)
    # A random 8 x 8 pattern has nothing in common with the left half: 0 give or take 1 / 8.
    assert abs(result.pearson) < 0.4
    assert result.attention.map[:, :4].min() > 0
    (stage,) = result.stages
    assert stage.name == "all"


def test_weights_are_drawn_on_the_cpu_whatever_the_default_device() -> None:
    model = Columns()
    expected = assert_attention_depends_on_weights(model, GREY, **HOW).pearson
    with torch.device("meta"):  # which takes no generator of the CPU
        assert assert_attention_depends_on_weights(model, GREY, **HOW).pearson == expected


def test_no_target_is_put_to_a_method_that_ignores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "_told", set())  # a warning is an error here
    assert abs(assert_attention_depends_on_weights(Columns(), GREY, layer="look", method="eigencam").pearson) < 0.4


def test_a_map_that_is_the_image_survives_and_fails() -> None:
    spot = torch.zeros(1, 8, 8)
    spot[:, 1:4, 2:6] = 1
    with pytest.raises(AttentionError) as raised:
        assert_attention_depends_on_weights(Bright(), spot, **HOW)
    text = str(raised.value)
    assert text.startswith("attention depends on weights: Pearson 1.00 > 0.7 (gradcam, look)")
    assert "try: a network that has learnt nothing has nearly this map" in text
    assert [view.name for view in raised.value.evidence.views] == ["model", "stage-1"]


class Deep(nn.Sequential):
    """Eight modules with weights, of which the first ones are seen last by the cascade."""

    def __init__(self) -> None:
        convolutions = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)]
        for _ in range(2):
            convolutions += [nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()]
        super().__init__(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 3))
        for parameter in self.parameters():
            parameter.data.fill_(0.1)


def test_stages_run_from_the_output_to_all_and_are_at_most_six() -> None:
    result = assert_attention_depends_on_weights(Deep().eval(), torch.ones(1, 16, 16).cumsum(2), at_most=0.99, target=2)
    assert [stage.name for stage in result.stages] == [
        "from 11 on",
        "from 10 on",
        "from 5 on",
        "from 3 on",
        "from 2 on",
        "all",
    ]


def test_the_model_and_the_generators_come_back_bit_for_bit() -> None:
    model = Deep().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert_attention_depends_on_weights(model, torch.ones(1, 16, 16).cumsum(2), at_most=0.99, target=2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (random.getstate(), np.random.get_state()[1].tolist())


def test_one_seed_gives_one_answer_and_another_another() -> None:
    first, again, other = (
        assert_attention_depends_on_weights(Columns(), GREY, seed=seed, **HOW).pearson for seed in (0, 0, 1)
    )
    assert first == again != other


def test_judged_is_the_mean_of_three_draws_with_seeds_that_follow() -> None:
    # With one module the first draw of each seed is its only stage.
    results = [assert_attention_depends_on_weights(Columns(), GREY, seed=seed, **HOW) for seed in (3, 4, 5)]
    draws = [result.stages[0].pearson for result in results]
    assert len(set(draws)) == 3
    assert results[0].pearson == pytest.approx(sum(draws) / 3)
    drawn_anew = results[0].stages[0].attention
    assert (drawn_anew.layer, drawn_anew.method, drawn_anew.target) == ("look", "gradcam", 0)


class Dead(Columns):
    """Below 0.9 nothing passes, and drawn anew all weights are below it: the score does not depend on the layer."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = torch.relu(self.look(image * self.weights) - 0.9).mean(dim=(1, 2, 3))
        return torch.stack([seen, -seen], dim=1)


def test_a_layer_that_dies_has_no_map_to_draw() -> None:
    result = assert_attention_depends_on_weights(Dead(), GREY, **HOW)
    assert [(stage.pearson, stage.attention) for stage in result.stages] == [(0.0, None)]
    with pytest.raises(AttentionError, match=r"Pearson 0\.00 > -0\.5 \(gradcam, look\)") as raised:
        assert_attention_depends_on_weights(Dead(), GREY, at_most=-0.5, **HOW)
    assert [view.name for view in raised.value.evidence.views] == ["model"]
    assert re.search(r"explained +class 0, .*\n +anew +all: Pearson 0\.00\n", str(raised.value))


def test_seeds_that_follow_the_greatest_are_the_least() -> None:
    for seed in (2**64 - 1, -1):
        assert_attention_depends_on_weights(Columns(), GREY, seed=seed, **HOW)


def test_seeds_that_follow_one_of_numpys_do_not_overflow() -> None:
    first, again = (
        assert_attention_depends_on_weights(Columns(), GREY, seed=seed, **HOW).pearson for seed in (255, np.uint8(255))
    )
    assert first == again


def test_a_layer_given_as_a_module_is_found_in_the_copy() -> None:
    model = Columns()
    result = assert_attention_depends_on_weights(model, GREY, layer=model.look, method="gradcam", target=0)
    assert result.stages[0].attention.layer == "look"


class Gated(Columns):
    """Positive weights only: drawn anew with a bias of 0, the gate is shut and nothing is left of the map."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_bias = nn.Parameter(torch.ones(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return super().forward(image * self.gate_bias)


def test_an_empty_map_has_fallen_apart() -> None:
    result = assert_attention_depends_on_weights(Gated(), GREY, at_most=0.0, **HOW)
    assert result.pearson == 0
    assert [stage.pearson for stage in result.stages] == [0.0, 0.0][: len(result.stages)]


def uncopyable() -> nn.Module:
    model = Columns()
    model.kept = model.weights * 2
    return model


@pytest.mark.parametrize(
    ("model", "given", "error", "names"),
    [
        (uncopyable(), {}, ModelError, "cannot be copied.*keep them detached"),
        (lambda image: image.mean(dim=(2, 3)), {"method": "rise", "layer": None}, ModelError, "is a function"),
        (nn.Sequential(nn.Identity(), nn.Flatten()), {"layer": "0"}, ModelError, "no floating point weights"),
        (Columns(), {"at_most": 2}, LimitError, "at_most=2 is outside the range of Pearson, -1 to 1"),
        (Columns(), {"at_most": 1}, LimitError, "vacuous: Pearson at most 1 passes whatever"),
        (Columns(), {"at_mots": 0.5}, KeywordError, "no keyword 'at_mots'. Did you mean 'at_most'"),
        (Columns(), {"layer": "lok"}, LayerError, "'look'"),
        (Columns(), {"target": 1}, EmptyMapError, "no positive evidence for target 1"),
    ],
)
def test_what_cannot_be_asked_is_named(model, given, error, names) -> None:
    with pytest.raises(error, match=names):
        assert_attention_depends_on_weights(model, GREY, **(HOW | given))
