"""A layer from a name, a module or nothing."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import Box, assert_attention_in_region, attend
from pytest_cam.engine.layers import name_of, resolve
from pytest_cam.errors import LayerError, TargetError


def test_by_name_by_module_and_by_nothing(classifier: nn.Sequential) -> None:
    by_name, by_module = resolve(classifier, "layer"), resolve(classifier, classifier.layer)
    assert by_name is not None
    assert by_module is not None
    assert (by_name.name, by_name.module) == (by_module.name, by_module.module) == ("layer", classifier.layer)
    assert resolve(classifier, None) is None


def test_name_and_module_give_the_same_map(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    by_name = attend(classifier, picture, layer="stem")
    by_module = attend(classifier, picture, layer=classifier.stem)
    assert (by_name.layer, by_name.map.tolist()) == (by_module.layer, by_module.map.tolist())


def test_nested_layer(classifier: nn.Sequential) -> None:
    found = resolve(nn.Sequential(classifier), "0.layer")
    assert found is not None
    assert found.module is classifier.layer


def test_module_with_two_names_has_the_first_one(classifier: nn.Sequential) -> None:
    classifier.append(classifier.layer)
    assert name_of(classifier, classifier.layer) == "layer"


def test_model_itself_may_be_the_layer(picture: torch.Tensor) -> None:
    model = nn.Conv2d(3, 5, 3)
    attention = attend(model, picture, layer=model, method="hirescam", target=lambda scores: scores[2].sum())
    # Only channel 2 is in the score, with a gradient of 1: the map is what is positive of it.
    assert attention.layer == "(the model)"
    torch.testing.assert_close(torch.tensor(attention.map), model(picture)[0, 2].relu().detach())


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("layr", "Did you mean 'layer'"),
        ("layer.0", "Did you mean 'layer'"),
        ("", "Accepted: 'stem', 'layer', 'pool', 'flatten', 'head'."),
        # An attribute, but no module.
        ("training", "Accepted: 'stem', 'layer', 'pool', 'flatten', 'head'."),
    ],
)
def test_unknown_name_answers_with_the_nearest(classifier: nn.Sequential, name: str, suggested: str) -> None:
    with pytest.raises(LayerError) as caught:
        resolve(classifier, name)
    assert f"Sequential has no layer {name!r}. {suggested}" in str(caught.value)


@pytest.mark.parametrize("layer", ["gradcam", ["stem", "gradcam"]])
def test_method_in_the_place_of_the_layer_is_told_so(
    classifier: nn.Sequential, picture: torch.Tensor, layer: Any
) -> None:
    with pytest.raises(LayerError, match=r"^Sequential has no layer 'gradcam'\. It is a method: method='gradcam'$"):
        attend(classifier, picture, layer=layer)


def test_layer_may_be_called_as_a_method_is(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    named = nn.Sequential(OrderedDict(random=classifier[0], rest=classifier[1:]))
    assert attend(named, picture, layer="random").layer == "random"


def test_module_of_another_model_is_an_error(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    with pytest.raises(LayerError, match=r"a Conv2d that is not part of this Sequential; .* another instance"):
        attend(classifier, picture, layer=copy.deepcopy(classifier).layer)


@pytest.mark.parametrize(("layer", "named"), [(4.0, "a float"), ({"layer"}, "a set"), (nn.Conv2d, "the class Conv2d")])
def test_layer_of_another_kind_is_an_error(
    classifier: nn.Sequential, picture: torch.Tensor, layer: Any, named: str
) -> None:
    with pytest.raises(LayerError, match=rf"layer is {named}; accepted: a dotted name"):
        attend(classifier, picture, layer=layer)


@pytest.mark.parametrize(
    "box",
    [(1, 1, 5, 5), [1.0, 1.0, 5.5, 5.5], np.array([1, 1, 5, 5]), torch.tensor([1.0, 1.0, 5.0, 5.0]), Box(1, 1, 5, 5)],
    ids=["tuple", "list", "array", "tensor", "Box"],
)
def test_region_in_the_place_of_the_layer_is_told_where_it_belongs(
    classifier: nn.Sequential, picture: torch.Tensor, box: Any
) -> None:
    with pytest.raises(LayerError, match=r"looks like a region, .* before the layer: \(model, img, box, layer\)$"):
        assert_attention_in_region(classifier, picture, "layer", box)


@pytest.mark.parametrize("layer", [["stem", "layer"], ["a", "b", "c", "d"], np.zeros((3, 3)), torch.zeros(())])
def test_other_wrong_layer_is_not_taken_for_a_region(
    classifier: nn.Sequential, picture: torch.Tensor, layer: Any
) -> None:
    with pytest.raises(LayerError) as caught:
        assert_attention_in_region(classifier, picture, (1, 1, 5, 5), layer)
    assert "region," not in str(caught.value)


def test_four_targets_are_not_taken_for_a_region(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    with pytest.raises(TargetError, match=r"^target is a list of 4; .* gives an attention for each$"):
        assert_attention_in_region(classifier, picture, (1, 1, 5, 5), target=[0, 1, 2, 3])  # type: ignore[arg-type]
