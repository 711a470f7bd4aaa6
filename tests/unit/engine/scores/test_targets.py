"""The scalar that is explained. Two classes with logits 0 and ln 3 have the probabilities 1/4 and 3/4."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import BinaryLogit, ClassLogit, attend, attend_batch
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scores.targets import Scores, one_each, scores_of
from pytest_cam.errors import OutputError, TargetError

LOGITS = torch.tensor([[0.0, math.log(3)]])


def explain(output: Any, target: Any, class_names: list[str] | None = None) -> Explained:
    scores = scores_of(output, [target], class_names)
    (explained,) = scores.explained
    assert total(scores) == pytest.approx(explained.score)
    return explained


def total(scores: Scores) -> float:
    """The sum of all explained scores, read from the tensors that are differentiated."""
    logits = scores.logits
    picked = [] if logits is None else [sign * logits[index, column] for index, column, sign in scores.classes]
    return sum(float(score) for score in (*picked, *scores.called))


def test_nothing_asked_explains_the_prediction() -> None:
    explained = explain(LOGITS, None, ["cat", "dog"])
    assert (explained.target, explained.name, explained.predicted, explained.predicted_name) == (1, "dog", 1, "dog")
    assert (explained.score, explained.probability) == pytest.approx((math.log(3), 0.75))
    assert "likelihood=0.75" in repr(explained)  # worked out by now, and no object at an address
    assert explained.is_predicted


@pytest.mark.parametrize("target", [0, np.int64(0), torch.tensor(0), "cat"])
def test_class_by_index_or_name(target: Any) -> None:
    explained = explain(LOGITS, target, ["cat", "dog"])
    assert (explained.target, explained.name, explained.predicted, explained.predicted_name) == (0, "cat", 1, "dog")
    assert (explained.score, explained.probability) == pytest.approx((0.0, 0.25))
    assert not explained.is_predicted


def test_without_names_a_class_is_called_by_its_index() -> None:
    assert explain(LOGITS, 0).name == "class 0"


def test_callable_gets_its_images_own_part() -> None:
    def difference(row: torch.Tensor) -> torch.Tensor:
        return row[1] - row[0]

    scores = scores_of(torch.tensor([[1.0, 2.0], [3.0, 7.0]]), [difference, difference], None)
    explained = scores.explained
    assert [item.score for item in explained] == [1.0, 4.0]
    assert total(scores) == 5.0
    assert [(item.target, item.name, item.probability) for item in explained] == [(None, "difference", None)] * 2
    assert [item.predicted for item in explained] == [1, 1]


def test_callable_object_is_called_by_its_class() -> None:
    class Margin:
        def __call__(self, row: torch.Tensor) -> torch.Tensor:
            return row.max() - row.min()

    assert explain(LOGITS, Margin()).name == "Margin"


def test_scalar_of_any_shape_is_accepted() -> None:
    assert explain(LOGITS, lambda row: row[:1].reshape(1, 1)).score == 0.0


def test_list_of_parts_has_one_part_each() -> None:
    detections = [{"scores": torch.tensor([0.25])}, {"scores": torch.tensor([0.5])}]
    scores = scores_of(detections, [lambda part: part["scores"].max()] * 2, None)
    assert [item.score for item in scores.explained] == [0.25, 0.5]
    assert total(scores) == 0.75
    assert scores.explained[0].predicted is None


@pytest.mark.parametrize("shape", [(1, 1), (1,)])
@pytest.mark.parametrize(
    ("target", "score", "probability", "name", "note"),
    [
        (1, math.log(3), 0.75, "dog", "the single logit"),
        (None, math.log(3), 0.75, "dog", "the single logit"),
        (BinaryLogit(), math.log(3), 0.75, "dog", "the single logit"),
        ("cat", -math.log(3), 0.25, "cat", "minus the single logit"),
        (0, -math.log(3), 0.25, "cat", "minus the single logit"),
        (BinaryLogit(positive=False), -math.log(3), 0.25, "cat", "minus the single logit"),
    ],
)
def test_single_logit_tells_two_classes_apart(
    shape: tuple[int, ...], target: Any, score: float, probability: float, name: str, note: str
) -> None:
    explained = explain(torch.full(shape, math.log(3)), target, ["cat", "dog"])
    assert (explained.score, explained.probability) == pytest.approx((score, probability))
    assert (explained.name, explained.note, explained.predicted_name) == (name, note, "dog")


def test_single_logit_below_zero_predicts_class_0() -> None:
    explained = explain(torch.tensor([[-2.0]]), None)
    assert (explained.target, explained.score, explained.name) == (0, 2.0, "class 0")


@pytest.mark.parametrize(
    ("target", "names", "message"),
    [
        (2, None, "target 2 is out of range: the model has 2 classes, 0 to 1"),
        (1, ["cat"], "1 class names for a model with 2 classes, which a single logit tells apart"),
    ],
)
def test_single_logit_has_two_classes(target: Any, names: list[str] | None, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        explain(torch.tensor([[2.5]]), target, names)


def test_labels_that_do_not_exclude_one_another_have_probabilities_of_their_own() -> None:
    explained = explain(torch.tensor([[5.0, math.log(3)]]), ClassLogit("dog", multi_label=True), ["cat", "dog"])
    assert (explained.score, explained.probability) == pytest.approx((math.log(3), 0.75))
    assert (explained.predicted, explained.note) == (None, "one of several labels")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (2, "target 2 is out of range: the model has 2 classes, 0 to 1"),
        (-1, "target -1 is out of range"),
        (True, "target is True; accepted: a class index"),
        (np.bool_(True), "target is .*True.*; accepted: a class index"),
        (torch.tensor(True), r"target is tensor\(True\); accepted: a class index"),
        (1.0, r"target is 1\.0; accepted: a class index"),
        (torch.tensor(0.5), r"target is tensor\(0\.5000\); accepted"),
        ({"class": 1}, "accepted: a class index, a class name, a callable"),
        ("dog", "'dog' is a class name, and no class names are known"),
        ("1", r"'1' is a class name, .* `cam_class_names` fixture\. As a class index it is a number: target=1$"),
        (lambda row: row, r"returned a tensor \(2,\); accepted: one scalar"),
        (lambda row: torch.fft.fft(row)[1], r"returned a complex scalar; accepted: a real one"),
        (lambda row: row.sum().item(), r"returned a float; accepted: a scalar tensor \(without \.item\(\)\)"),
        (lambda row: None, "returned None"),
    ],
)
def test_target_that_names_no_score_is_an_error(target: Any, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        explain(LOGITS, target)


@pytest.mark.parametrize(
    ("target", "names", "message"),
    [
        ("dgo", ["cat", "dog"], "there is no class 'dgo'. Did you mean 'dog'"),
        ("1", ["cat", "dog"], r"there is no class '1'\. .* 'dog'\. As a class index it is a number: target=1$"),
        ("dog", ["dog", "dog"], r"'dog' names 2 classes \(0, 1\); pass the class index"),
        (0, ["cat", "dog", "cow"], "3 class names for a model with 2 classes"),
    ],
)
def test_wrong_class_names_are_an_error(target: Any, names: list[str], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        explain(LOGITS, target, names)


@pytest.mark.parametrize(
    ("output", "given"),
    [
        (torch.zeros(5), r"a tensor \(5,\)"),
        (torch.zeros(2, 5), r"a tensor \(2, 5\)"),
        (torch.zeros(1, 5, 2, 2), r"a tensor \(1, 5, 2, 2\)"),
        ({"logits": LOGITS[0], "loss": None}, r"a dict with 'logits' \(2,\), 'loss' \(NoneType\)"),
        ({"logits": torch.zeros(1, 5, 2, 2), "features": LOGITS}, r"a dict with 'logits' \(1, 5, 2, 2\), .*"),
        ({"labels": torch.tensor([1])}, r"a dict with 'labels' \(1,\) of torch\.int64"),
        (None, "None"),
    ],
)
def test_output_that_is_no_batch_of_class_scores_is_an_error(output: Any, given: str) -> None:
    with pytest.raises(
        OutputError, match=rf"the model returned {given}; accepted: class scores \(B, K\), here \(1, K\)"
    ):
        explain(output, 0)


@pytest.mark.parametrize("output", [torch.tensor(1.0), torch.zeros(3, 5), {0: torch.zeros(3, 5)}, None])
def test_output_without_one_part_for_each_image_is_an_error_for_a_callable(output: Any) -> None:
    with pytest.raises(OutputError, match="each image's own part cannot be found"):
        explain(output, lambda part: part.sum())


def test_one_target_is_for_all_and_a_list_is_one_each() -> None:
    assert one_each("dog", 2) == ["dog", "dog"]
    assert one_each([0, None], 2) == [0, None]
    assert one_each((0, 1), 2) == [0, 1]
    assert one_each(np.array([1, 2]), 2) == [1, 2]  # type: ignore[arg-type]  # what is often at hand
    assert one_each(torch.tensor([3, 4]), 2) == [3, 4]


def test_another_number_of_targets_than_images_is_an_error(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    with pytest.raises(TargetError, match="3 targets for a batch of 2 images; accepted: one for all, or one each"):
        attend_batch(classifier, torch.cat([picture, picture]), layer="layer", target=[0, 1, 2])


def test_targets_of_a_batch_are_each_images_own(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    images = torch.cat([picture, picture])
    first, second = attend_batch(classifier, images, layer="layer", method="hirescam", target=[0, 3])
    assert (first.target, second.target) == (0, 3)
    assert first.map.tolist() != second.map.tolist()
    alone = attend(classifier, picture, layer="layer", method="hirescam", target=3)
    assert second.map == pytest.approx(alone.map, rel=1e-5, abs=1e-9)


class Boxes(dict[str, torch.Tensor]):
    """What a detector may return for each image: its entries are attributes, too."""

    def __getattr__(self, name: str) -> torch.Tensor:
        return self[name]


@dataclass(frozen=True)
class Counted:
    scores: torch.Tensor
    count: int = field(init=False, default=0)


def runner_up(row: torch.Tensor) -> torch.Tensor:
    row[row.argmax()] = -1e9
    return row.max()


@pytest.mark.parametrize(
    ("returned", "target"),
    [
        (lambda logits: logits, runner_up),
        (lambda logits: {"logits": logits, "text": "a"}, lambda part: runner_up(part["logits"])),
        (lambda logits: (logits, [logits]), lambda part: runner_up(part[1][0])),
        (lambda logits: [Boxes(scores=row) for row in logits], lambda part: runner_up(part.scores)),
        (lambda logits: [Counted(row) for row in logits], lambda part: runner_up(part.scores)),
    ],
    ids=["tensor", "dict", "tuple", "a dict each", "a dataclass each"],
)
def test_a_callable_that_writes_to_its_part_changes_nothing_for_the_others(returned: Any, target: Any) -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]], requires_grad=True) * 1
    (score,) = scores_of(returned(logits), [target], None).called
    assert float(score.detach()) == 2.0
    assert score.requires_grad
    assert logits.tolist() == [[1.0, 3.0, 2.0]]
