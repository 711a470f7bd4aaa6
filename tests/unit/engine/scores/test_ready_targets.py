"""Ready-made targets of class scores and embeddings, by numbers that can be checked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import (
    BinaryLogit,
    ClassLogit,
    ClassProbability,
    ContrastiveLogit,
    ProbabilityWarning,
    Similarity,
    attend,
    attend_batch,
)
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scores.targets import scores_of
from pytest_cam.errors import CamError, NonFiniteError, OutputError, TargetError

# The probabilities are 1/8, 2/8, 5/8.
LOGITS = torch.tensor([[0.0, math.log(2), math.log(5)]])
NAMES = ["cat", "dog", "cow"]


def explain(target: Any, output: Any = LOGITS, names: list[str] | None = None) -> Explained:
    return scores_of(output, [target], names).explained[0]


def of_probabilities(target: Any, output: torch.Tensor) -> bool:
    return any(each.of_probabilities for each in scores_of(output, [target] * len(output), None).explained)


@pytest.mark.parametrize(("class_", "names"), [(1, None), (1, NAMES), (np.int64(1), NAMES), ("dog", NAMES)])
def test_class_logit_is_the_class(class_: Any, names: list[str] | None) -> None:
    assert explain(ClassLogit(class_), names=names) == explain(1, names=names)


@pytest.mark.parametrize(
    ("target", "score", "name", "named"),
    [
        (ClassProbability(1), 0.25, "probability of class 1", "probability of dog"),
        (ContrastiveLogit(2, 1), math.log(2.5), "logit of class 2 minus class 1", "logit of cow minus dog"),
        (
            ContrastiveLogit(2, [0, 1]),
            math.log(5) - math.log(2) / 2,
            "logit of class 2 minus the mean of class 0, class 1",
            "logit of cow minus the mean of cat, dog",
        ),
    ],
)
def test_scores_and_their_names(target: Any, score: float, name: str, named: str) -> None:
    plain, with_names = explain(target), explain(target, names=NAMES)
    assert plain.score == with_names.score == pytest.approx(score)
    assert (plain.name, with_names.name) == (name, named)
    assert (plain.target, plain.probability) == (None, None)
    assert (with_names.predicted, with_names.predicted_name) == (2, "cow")


def test_classes_may_be_named() -> None:
    by_name = explain(ContrastiveLogit("cow", versus=["cat", "dog"]), names=NAMES)
    assert by_name == explain(ContrastiveLogit(2, versus=[0, 1]), names=NAMES)
    assert explain(ClassProbability("dog"), names=NAMES).score == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("kind", "classes"), [(ClassLogit, [2]), (ContrastiveLogit, [2, 0]), (ClassLogit, ["cow"])], ids=str
)
def test_a_class_made_of_a_ready_target_is_what_it_says(kind: Any, classes: list[Any]) -> None:
    doubled = type("Doubled", (kind,), {"__call__": lambda self, part: 2 * kind.__call__(self, part)})
    assert explain(doubled(*classes), names=NAMES).score == pytest.approx(2 * math.log(5))


def test_ready_targets_read_the_scores_wherever_they_are() -> None:
    explained = explain(ContrastiveLogit(2, 0), {"logits": LOGITS, "features": torch.zeros(1, 9)})
    assert explained.score == pytest.approx(math.log(5))


def test_probability_of_a_single_logit_is_its_sigmoid() -> None:
    single = torch.tensor([[math.log(3)]])
    assert explain(ClassProbability(1), single).score == pytest.approx(0.75)
    assert explain(ClassProbability(0), single).score == pytest.approx(0.25)


def test_a_single_logit_has_no_other_to_be_compared_with() -> None:
    message = "ContrastiveLogit compares the logits of classes, and this model has a single one; accepted: target=1 for"
    for single in (torch.tensor([[0.5]]), torch.tensor([0.5])):
        with pytest.raises(TargetError, match=message):
            explain(ContrastiveLogit(1, versus=0), single)


def test_ready_targets_are_plain_callables_too() -> None:
    row = LOGITS[0]
    assert float(ClassLogit(1)(row)) == pytest.approx(math.log(2))
    assert float(BinaryLogit(positive=False)(torch.tensor([3.0]))) == -3
    assert float(BinaryLogit()(torch.tensor(3.0))) == 3
    assert float(ContrastiveLogit(2, 0)(row)) == pytest.approx(math.log(5))


@pytest.mark.parametrize(
    ("reference", "similarity"), [([1.0, 0.0], 0.6), ([[0.0, -2.0]], -0.8), (torch.tensor([30, 40]), 1.0)]
)
def test_similarity_is_the_cosine(reference: Any, similarity: float) -> None:
    output = {"last_hidden_state": torch.zeros(1, 7, 2), "pooler_output": torch.tensor([[3.0, 4.0]])}
    explained = explain(Similarity(reference), output, NAMES)
    assert explained.score == pytest.approx(similarity)
    assert (explained.name, explained.predicted) == ("similarity to the reference", None)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (ClassLogit("dgo"), "there is no class 'dgo'. Did you mean 'dog'"),
        (ClassLogit(3), "target 3 is out of range: the model has 3 classes"),
        (ClassProbability(-1), "target -1 is out of range"),
        (ContrastiveLogit("cow", "cta"), "there is no class 'cta'. Did you mean 'cat'"),
        (ContrastiveLogit(0, [1, 3]), "target 3 is out of range"),
        (ContrastiveLogit(True, 1), "target is True; accepted: a class index"),
        (BinaryLogit(), "BinaryLogit is for a model with a single logit, and this one has 3"),
        (Similarity([1.0, 2.0]), r"the reference embedding is \(2,\), and the model's is \(3,\); accepted: \(3,\)"),
        (Similarity([[1.0], [2.0], [3.0]]), r"the reference embedding is \(3, 1\)"),
        (Similarity("x"), r"the reference embedding is 'x'; accepted: a tensor or an array of numbers, \(3,\)"),
    ],
)
def test_wrong_ready_targets_are_an_error(target: Any, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        explain(target, names=NAMES)


def test_class_name_without_names_is_an_error() -> None:
    with pytest.raises(TargetError, match="'dog' is a class name, and no class names are known"):
        explain(ContrastiveLogit("dog", 0))
    with pytest.raises(TargetError, match="versus is empty"):
        ContrastiveLogit(0, [])


def test_ready_target_without_scores_to_read_is_an_error() -> None:
    with pytest.raises(OutputError, match="several tensors could be the class scores"):
        explain(Similarity([1.0, 2.0, 3.0]), {"a": LOGITS, "b": LOGITS})
    with pytest.raises(TargetError, match="2 class names for a model with 3 classes"):
        explain(ContrastiveLogit(0, 1), names=["cat", "dog"])


def test_lambda_on_another_device_than_the_output_is_an_error() -> None:
    reference = torch.zeros(3, device="meta")
    with pytest.raises(TargetError, match="target <lambda> mixes devices"):
        explain(lambda row: (row * reference).sum())


def test_other_errors_of_a_lambda_are_its_own() -> None:
    with pytest.raises(RuntimeError, match="size of tensor") as raised:
        explain(lambda row: (row + torch.zeros(2)).sum())
    assert not isinstance(raised.value, CamError)


def test_name_says_so_where_the_map_is_empty_or_wrong(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    with pytest.raises(NonFiniteError, match="of target similarity to the reference"):
        attend(classifier, picture, layer="layer", target=Similarity([math.nan] * 5))


def test_batch_may_mix_targets(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    targets = [3, ClassLogit(3), ContrastiveLogit(3, 1), lambda row: row[3] - row[1]]
    maps = [found.map for found in attend_batch(classifier, picture.expand(4, 3, 8, 8), layer="layer", target=targets)]
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[2], maps[3])


@pytest.fixture
def gate(classifier: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(classifier, nn.Softmax(dim=1))


@pytest.mark.parametrize("target", [None, 3, ClassProbability(3)])
def test_outputs_that_look_like_probabilities_give_one_warning(
    gate: nn.Sequential, picture: torch.Tensor, target: Any
) -> None:
    with pytest.warns(ProbabilityWarning, match=r"look like probabilities.*explain logits") as warned:
        found = attend_batch(gate, torch.cat([picture, -picture]), layer="0.layer", target=target)
    assert [warning.filename for warning in warned] == [__file__]
    if target is None:
        assert found[0].explained.probability == found[0].score


@pytest.mark.parametrize("last", [nn.Identity(), nn.Flatten(0)])
@pytest.mark.parametrize("target", [None, 0, BinaryLogit()])
def test_single_probability_gives_one_warning(
    classifier: nn.Sequential, picture: torch.Tensor, last: nn.Module, target: Any
) -> None:
    model = nn.Sequential(classifier, nn.Linear(5, 1), nn.Sigmoid(), last)
    with pytest.warns(ProbabilityWarning, match="one number that a sigmoid gave") as warned:
        attend(model, picture, layer="0.layer", target=target)
    assert len(warned) == 1


# With gradients, with passes alone at a layer, and without a layer.
@pytest.mark.parametrize("how", [{"method": "gradcam"}, {"method": "scorecam"}, {"method": "eigencam"}, {}])
@pytest.mark.parametrize(("logit", "predicted"), [(-2.0, 0), (2.0, 1)])
def test_single_probability_predicts_what_its_logit_does(
    classifier: nn.Sequential, picture: torch.Tensor, logit: float, predicted: int, how: dict[str, Any]
) -> None:
    # Read as a logit, a probability of 0.12 is above 0 and predicts class 1.
    head = nn.Linear(5, 1)
    head.bias.data += logit - head(classifier(picture)).detach()[0]
    how = {**how, "layer": "0.layer"} if how else {"method": "occlusion"}
    with pytest.warns(ProbabilityWarning, match="one number that a sigmoid gave"):
        found = attend(nn.Sequential(classifier, head, nn.Sigmoid()), picture, **how).explained
    expected = attend(nn.Sequential(classifier, head), picture, **how).explained
    assert (found.target, found.predicted) == (expected.target, expected.predicted) == (predicted, predicted)
    assert found.probability == pytest.approx(expected.probability)
    assert found.note == ("the single probability" if predicted else "minus the single probability")


def test_single_logit_that_could_be_a_probability_gives_no_warning(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    head = nn.Linear(5, 1)
    head.bias.data += 0.5 - head(classifier(picture)).detach()[0]
    model = nn.Sequential(classifier, head)
    for how in ({"layer": "0.layer"}, {"layer": "0.layer", "method": "eigencam"}, {"method": "occlusion"}):
        assert attend(model, picture, **how).score == pytest.approx(0.5)


def test_probabilities_of_a_frozen_backbone_give_one_warning(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.head = classifier[:4], classifier[4]

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                features = self.features(image)
            return self.head(features).softmax(dim=1)

    with pytest.warns(ProbabilityWarning) as warned:  # although the model runs twice
        attend(Frozen(), picture, layer="features.layer")
    assert len(warned) == 1


def test_warning_raised_as_an_error_leaves_the_model_as_it_was(gate: nn.Sequential, picture: torch.Tensor) -> None:
    gate.train()  # the project's filter for warnings is "error"
    with pytest.raises(ProbabilityWarning):
        attend(gate, picture, layer="0.layer")
    assert all(module.training and not module._forward_hooks for module in gate.modules() if module is not gate[0])


@pytest.mark.parametrize(
    "output",
    [
        torch.tensor([[0.5, 0.6]]),
        torch.tensor([[1.5, -0.5]]),
        torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
        torch.tensor([[0.5, 0.5], [2.0, 0.0]]),
        torch.tensor([[0.5]]),
        torch.tensor([[1.0]]),
    ],
)
def test_other_outputs_do_not_look_like_probabilities(output: torch.Tensor) -> None:
    assert not of_probabilities(0, output)


def test_lambdas_and_labels_may_read_what_sums_to_one() -> None:
    output = torch.tensor([[0.25, 0.75]])
    assert of_probabilities(0, output)
    for target in (lambda row: row[0].log(), ClassLogit(0, multi_label=True), Similarity([1.0, 0.0])):
        assert not of_probabilities(target, output)
