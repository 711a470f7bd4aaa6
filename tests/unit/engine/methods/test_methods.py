"""The registry of methods."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from pytest_cam import assert_attention_class_discriminative, assert_attention_stable, attend
from pytest_cam.engine.methods import METHODS, method_named
from pytest_cam.errors import MethodError

# The methods that are a function of A and G alone.
FORMULAS = [name for name, method in METHODS.items() if method.needs == {"activations", "gradients"}]


def test_names_of_the_methods() -> None:
    assert list(METHODS) == [
        "gradcam", "gradcam++", "hirescam", "layercam", "xgradcam", "gradcam-elementwise", "eigencam", "eigengradcam",
        "kpcacam", "shapleycam", "finercam", "legrad", "smoothgradcam++", "scorecam", "ablationcam", "rise",
        "occlusion", "random",
    ]  # fmt: skip
    assert method_named("gradcam++") is METHODS["gradcam++"]


def test_options_of_the_methods_and_what_they_are_where_they_are_not_given() -> None:
    # A map, and so a baseline, changes with each of them.
    assert {name: method.options for name, method in METHODS.items() if method.options} == {
        "kpcacam": {"gamma": None},
        "finercam": {"alpha": 0.6, "classes": 3},
        "smoothgradcam++": {"samples": 8, "noise": 0.15},
        "rise": {"masks": 1000, "cells": 8, "keep": 0.5},
        "occlusion": {"window": None, "stride": None, "baseline": 0.0},
    }


@pytest.mark.parametrize("name", FORMULAS)
def test_a_map_for_each_image_on_the_layers_grid(name: str) -> None:
    activations = torch.rand(2, 3, 4, 5)
    assert METHODS[name](activations, torch.rand(2, 3, 4, 5)).shape == (2, 4, 5)


@pytest.mark.parametrize("name", FORMULAS)
def test_activations_and_gradients_are_left_alone(name: str) -> None:
    activations, gradients = torch.randn(1, 3, 4, 5), torch.randn(1, 3, 4, 5)
    before = activations.clone(), gradients.clone()
    METHODS[name](activations, gradients)
    assert torch.equal(activations, before[0])
    assert torch.equal(gradients, before[1])


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("gradcam+", "Did you mean 'gradcam++'"),
        ("GradCAM++", "Did you mean 'gradcam++'"),
        ("xyz", "Accepted: 'gradcam', 'gradcam++', 'hirescam', 'layercam', 'xgradcam', 'gradcam-elementwise', "),
        (7, "Accepted: 'gradcam', "),
    ],
)
def test_unknown_method_answers_with_the_nearest(
    classifier: nn.Sequential, picture: torch.Tensor, name: Any, suggested: str
) -> None:
    with pytest.raises(MethodError) as caught:
        attend(classifier, picture, layer="layer", method=name)
    assert f"there is no method {name!r}. {suggested}" in str(caught.value)


@pytest.mark.parametrize(
    "ask", [attend, assert_attention_stable, partial(assert_attention_class_discriminative, targets=[0, 1])]
)
def test_layer_in_the_place_of_the_method_is_told_so(
    classifier: nn.Sequential, picture: torch.Tensor, ask: Callable[..., Any]
) -> None:
    with pytest.raises(MethodError, match=r"^there is no method 'stem'\. It is a layer of the model: layer='stem'$"):
        ask(classifier, picture, layer="gradcam", method="stem")


def test_gradcam_plus_plus_keeps_its_digits_near_the_pole() -> None:
    # 2 + G sum A is about 1e-4 in three cells: two numbers of about 2 cancel there.
    activations = torch.tensor([[[[-1.7, 0.3], [-1.1, -0.8]]]])
    gradients = torch.tensor([[[[0.1, 0.60603], [0.60601, 0.60602]]]])
    wide, steep = activations.double(), gradients.double()
    weight = (steep / (2 + steep * wide.sum())).sum()
    expected = (weight * wide[0, 0]).relu()
    assert float((2 + steep * wide.sum()).abs().min()) < 2e-4
    found = METHODS["gradcam++"](activations, gradients)[0]
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0.0)
