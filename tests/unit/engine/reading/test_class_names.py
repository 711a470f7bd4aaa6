"""Class names from the user, from torchvision's weights and from the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torchvision.models import ResNet18_Weights

from pytest_cam import attend
from pytest_cam.engine.reading import class_names
from pytest_cam.engine.reading.class_names import as_names, index_named, name_of, names_of
from pytest_cam.errors import TargetError


class Config:
    def __init__(self, id2label: dict[int, str]) -> None:
        self.id2label = id2label


@pytest.mark.parametrize(
    "given", [["cat", "dog"], ("cat", "dog"), {1: "dog", 0: "cat"}, np.array(["cat", "dog"])], ids=str
)
def test_names_are_a_sequence_or_a_dict(given: Any) -> None:
    names = as_names(given)
    assert names is not None
    assert list(names) == ["cat", "dog"]


def test_of_many_names_few_are_laid_in_one_line_to_find_one(monkeypatch: pytest.MonkeyPatch) -> None:
    laid: list[object] = []
    monkeypatch.setattr(class_names, "in_one_line", lambda name: laid.append(name) or " ".join(str(name).split()))
    names = [f"kind {number} of bird" for number in range(1000)] + ["golden \n retriever"]
    assert index_named(" golden retriever", names) == 1000
    assert index_named("kind 77 of bird", names[70:80]) == 7
    assert len(laid) < 20


def test_weights_of_torchvision_know_the_names() -> None:
    names = as_names(ResNet18_Weights.DEFAULT)
    assert names is not None
    assert (len(names), names[207]) == (1000, "golden retriever")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (ResNet18_Weights, r"the class ResNet18_Weights; take a member of it: ResNet18_Weights\.DEFAULT"),
        ("dog", "class_names is a str; accepted: a list of K names"),
        (3, "class_names is an int; accepted"),
        ({1: "dog"}, "a dict whose keys are not 0 to 0"),
        ({"cat": 0}, "a dict whose keys are not 0 to 0"),
    ],
)
def test_what_holds_no_names_is_an_error(given: Any, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        as_names(given)


def test_names_that_the_model_carries_are_used(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    classifier.config = Config({index: f"animal {index}" for index in range(5)})  # type: ignore[assignment]
    assert attend(classifier, picture, layer="layer", target="animal 3").target == 3
    with pytest.raises(TargetError, match=r"there is no class 'animal 9'\. Did you mean 'animal"):
        attend(classifier, picture, layer="layer", target="animal 9")
    assert attend(classifier, picture, layer="layer", target="c", class_names=list("abcde")).target == 2


def test_weights_that_the_model_carries_are_read(classifier: nn.Sequential) -> None:
    classifier.weights = ResNet18_Weights.DEFAULT  # type: ignore[assignment]
    names = names_of(classifier)
    assert names is not None
    assert names[207] == "golden retriever"


def test_placeholders_are_no_names(classifier: nn.Sequential) -> None:
    classifier.config = Config({0: "LABEL_0", 1: "LABEL_1"})  # type: ignore[assignment]
    assert names_of(classifier) is None
    assert names_of(nn.Linear(1, 1)) is None


class Lightning(nn.Module):
    """Holds the network beside its loss, as a LightningModule does, and its own head where it is given one."""

    def __init__(self, net: nn.Module, head: nn.Module | None = None) -> None:
        super().__init__()
        self.net, self.loss, self.head = net, nn.CrossEntropyLoss(), head or nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(self.net(image))
        return answer


@pytest.mark.parametrize(
    "wrap",
    [nn.DataParallel, AveragedModel, Lightning, lambda net: nn.Sequential(nn.Identity(), nn.DataParallel(net))],
    ids=["parallel", "averaged", "Lightning", "two"],
)
def test_names_that_a_wrapped_model_carries_are_used(
    classifier: nn.Sequential, picture: torch.Tensor, wrap: Callable[[nn.Module], nn.Module]
) -> None:
    classifier.config = Config({index: f"animal {index}" for index in range(5)})  # type: ignore[assignment]
    assert attend(wrap(classifier), picture, target="animal 3").target == 3


def test_names_of_a_model_below_another_head_are_not_used(classifier: nn.Sequential) -> None:
    classifier.config = Config({index: f"animal {index}" for index in range(5)})  # type: ignore[assignment]
    assert names_of(Lightning(classifier, nn.Linear(5, 5))) is None
    weighted = nn.DataParallel(classifier)
    weighted.mixing = nn.Parameter(torch.eye(5))
    assert names_of(weighted) is None


def test_names_are_looked_for_only_once_in_a_model_that_holds_itself() -> None:
    loop = nn.ModuleDict({"within": nn.Sequential(nn.ModuleDict())})
    loop["within"][0]["back"] = loop  # type: ignore[index]
    loop["within"][0].register_parameter("weight", nn.Parameter(torch.ones(1)))  # type: ignore[index]
    assert names_of(loop) is None


def test_names_of_a_head_that_was_replaced_are_not_used(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    classifier.config = Config({0: "cat", 1: "dog"})  # type: ignore[assignment]
    assert attend(classifier, picture, layer="layer", target=1).explained.name == "class 1"
    with pytest.raises(TargetError, match="no class names are known"):
        attend(classifier, picture, layer="layer", target="dog")


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        (["crane", "dog", "crane"], ["crane (0)", "dog", "crane (2)"]),
        (["hot\ndog", "  the  cat \t"], ["hot dog", "the cat"]),
        (["", " \n", "dog"], ["class 0", "class 1", "dog"]),
        (["\u732b", "caf\u00e9"], ["\u732b", "caf\u00e9"]),
        (None, ["class 0", "class 1"]),
    ],
)
def test_what_classes_are_called_fits_a_line_and_tells_them_apart(names: Any, called: list[str]) -> None:
    assert [name_of(index, names) for index in range(len(called))] == called


def test_names_are_found_whatever_white_space_is_in_them() -> None:
    names = ["cat", "hot\ndog", "crane", "crane", ""]
    assert index_named("hot dog", names) == index_named(" hot\ndog", names) == 1
    with pytest.raises(TargetError, match=r"target 'crane' names 2 classes \(2, 3\); pass the class index"):
        index_named("crane", names)
    with pytest.raises(TargetError, match=r"there is no class 'cran'\. Did you mean 'crane'\?"):
        index_named("cran", names)
    with pytest.raises(TargetError, match=r"names 20 classes \(0, 1, 2, 3, 4, 5, 6, 7, \.\.\.\); pass"):
        index_named("dog", ["dog"] * 20)
