"""What a failure says of a model with part of the image hidden: before beside after, and what it points to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pytest_cam import AttentionError, Box, ClassLogit, assert_prediction_needs_region, assert_region_suffices
from pytest_cam.errors import LimitError
from pytest_cam.verdicts.findings import Findings

LIT, REST = (2, 2, 6, 6), (8, 8, 14, 14)
MEAN = (16 + 18) / 256  # of the picture


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def logit(row: torch.Tensor) -> torch.Tensor:
    return row[1]


def by_four(inputs: torch.Tensor) -> torch.Tensor:
    """Class 1 by 4 for the box and 1 for nothing: with the box hidden it is still class 1."""
    mean = inputs[:, :, 2:6, 2:6].mean(dim=(1, 2, 3))
    return torch.stack([torch.zeros_like(mean), 4 * mean + 1], dim=1)


def failure(check, *args, **given) -> tuple[list[str], list[str], Findings]:
    """Return the lines of a failure without the spaces that align them, its hints, and its evidence."""
    with pytest.raises(AttentionError) as raised:
        check(*args, **({"fill": "mean"} | given))
    lines = [" ".join(line.split()) for line in str(raised.value).splitlines()]
    return lines, [line for line in lines if line.startswith("try:")], raised.value.evidence


def test_class_that_stays_predicted(image):
    lines, hints, evidence = failure(assert_prediction_needs_region, by_four, image, LIT)

    assert lines[2:6] == [
        "drop of probability 0.171, FAILS at least 0.3; from 0.993 to 0.822 when the region is hidden, "
        "and the prediction stays",
        "explained class 1",
        "as it is probability 0.99, predicted",
        "region hidden probability 0.82, predicted",
    ]
    assert len(hints) == 1
    assert hints[0].startswith("try: the model predicts class 1 without the region, too")
    assert evidence.regions == (Box(*LIT),)
    before, after = evidence.views
    assert (before.title, after.title) == ("as it is: class 1 0.99", "region hidden: class 1 0.82")
    about = {"target": 1, "explained": "class 1", "predicted": 1, "predicted_name": "class 1"}
    at = 4 * MEAN + 1
    assert before.about == about | {"score": pytest.approx(5), "probability": pytest.approx(sigmoid(5))}
    assert after.about == about | {"score": pytest.approx(at), "probability": pytest.approx(sigmoid(at))}


def test_class_that_is_predicted_only_with_the_region_hidden(model, image):
    lines, hints, evidence = failure(
        assert_prediction_needs_region, model, image, LIT, target=0, class_names=["cat", "dog"]
    )

    assert lines[2:6] == [
        "drop of probability -0.932, FAILS at least 0.3; from 0.018 to 0.95 when the region is hidden",
        'explained class 0 "cat"',
        'as it is probability 0.02; predicted is "dog" with 0.98',
        "region hidden probability 0.95, predicted",
    ]
    assert [hint.partition(",")[0] for hint in hints] == [
        "try: the model predicts dog",
        "try: the probability is below the limit before anything is hidden",
    ]
    assert [view.title for view in evidence.views] == [
        'as it is: "cat" 0.02; dog is predicted',
        'region hidden: "cat" 0.95',
    ]
    assert evidence.views[0].about["predicted_name"] == "dog"


def test_probability_that_could_have_fallen_by_the_limit_is_not_called_too_low(image):
    # Class 0 by -0.2 where the box is lit, and by less where it is dark: 0.45, and still above a limit of 0.4.
    def model(inputs):
        mean = inputs[:, :, 2:6, 2:6].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(mean), 0.2 * mean], dim=1)

    lines, hints, _ = failure(assert_prediction_needs_region, model, image, LIT, target=0, drop_at_least=0.4)
    assert "as it is probability 0.45; predicted is class 1 with 0.55" in lines
    assert len(hints) == 1  # that another class is predicted


def test_score_of_a_callable_can_fall_below_zero(model, image):
    lines, hints, evidence = failure(assert_prediction_needs_region, model, image, LIT, target=logit, drop_at_least=7)
    assert lines[0] == "prediction needs box: drop of score 6.94 < 7 (mean)"
    assert lines[3:6] == [
        "explained logit",
        "as it is score 4; predicted is class 1 with 0.98",
        "region hidden score -2.938; predicted is class 0 with 0.95",
    ]
    assert not hints
    assert [view.title for view in evidence.views] == [
        "as it is: logit = 4; class 1 is predicted",
        "region hidden: logit = -2.94; class 0 is predicted",
    ]


def test_score_of_a_callable_is_held_to_a_limit_of_its_own_size(model, image):
    with pytest.raises(LimitError, match=r"target logit has no prediction .* With nothing hidden it is 4$"):
        assert_region_suffices(model, image, LIT, target=logit)
    assert assert_region_suffices(model, image, LIT, target=logit, at_least=3.9).value_after == pytest.approx(4)
    lines, hints, _ = failure(assert_region_suffices, model, image, LIT, target=logit, at_least=7)
    assert lines[0] == "box suffices: score 4.00 < 7 (mean)"
    assert not hints


def test_one_of_several_labels_is_never_called_predicted(model, image):
    given = {"target": ClassLogit(1, multi_label=True), "at_least": 0.99}
    lines, hints, evidence = failure(assert_region_suffices, model, image, LIT, **given)
    assert lines[2:6] == [
        "probability 0.982, FAILS at least 0.99; with all but the region hidden",
        "explained class 1",
        "as it is probability 0.98",
        "region alone probability 0.98",
    ]
    assert not hints
    assert [view.title for view in evidence.views] == ["as it is: class 1 0.98", "region alone: class 1 0.98"]


def test_prediction_that_changes_stands_beside_the_probability_that_is_too_low(model, image):
    lines, hints, _ = failure(assert_region_suffices, model, image, REST, at_least=0.99)
    after = 8 * MEAN - 4  # where all but REST has the mean colour
    assert lines[0] == f"box suffices: class 1 becomes class 0; probability {sigmoid(after):.2f} < 0.99 (mean)"
    assert f"region alone probability {sigmoid(after):.2f}; predicted is class 0 with {sigmoid(-after):.2f}" in lines
    assert len(hints) == 1

    lines, hints, _ = failure(assert_region_suffices, model, image, LIT, at_least=0.99)
    assert lines[0] == "box suffices: probability 0.98 < 0.99 (mean)"
    assert "prediction passes: class 1 before and after" in lines
    assert not hints  # nothing outside of the region is read


def test_region_that_the_preprocess_crops_is_told_of_where_it_is_no_rest(model):
    array = np.zeros((16, 32, 3), dtype=np.uint8)
    array[8:14, 8:14] = 99

    def preprocess(picture):  # columns 10 to 26
        return torch.from_numpy(np.array(picture.crop((10, 0, 26, 16)), dtype=np.float32) / 255).permute(2, 0, 1)

    told = []
    for region in (Box(8, 8, 14, 14), Box(10, 8, 14, 14), ~Box(12, 2, 26, 16)):
        _, hints, _ = failure(assert_prediction_needs_region, model, array, region, preprocess=preprocess)
        told.append("try: the preprocess crops part of the region away" in [hint.partition(";")[0] for hint in hints])
    assert told == [True, False, False]


@pytest.mark.parametrize(
    ("check", "given", "error"),
    [
        (assert_prediction_needs_region, {"drop_at_least": math.inf}, "drop_at_least is inf; accepted for the score"),
        (assert_prediction_needs_region, {"drop_at_least": math.nan}, "a callable target: a finite number"),
        (assert_region_suffices, {"at_least": math.nan}, "at_least is nan; accepted for the score of a callable"),
        (assert_region_suffices, {"at_least": 0, "target": 1}, "accepted for a probability: a number above 0"),
        (assert_region_suffices, {"at_least": 1.5, "target": 1}, "at_least is 1.5; accepted for a probability"),
    ],
)
def test_limit_that_nothing_could_pass_or_fail_is_an_error(model, image, check, given, error):
    with pytest.raises(LimitError, match=error):
        check(model, image, LIT, **({"target": logit} | given))
