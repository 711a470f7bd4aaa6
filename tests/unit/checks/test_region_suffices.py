"""With all but a region hidden the prediction must stay."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import AttentionError, ClassLogit, assert_region_suffices
from pytest_cam.errors import LimitError, PreprocessError, ProbabilityWarning, VacuousError
from pytest_cam.images.fills import FILLS

LIT, REST = (2, 2, 6, 6), (8, 8, 14, 14)


@pytest.mark.parametrize("fill", FILLS)
def test_what_is_read_suffices(model, image, fill):
    found = assert_region_suffices(model, image, LIT, fill=fill)

    assert (found.predicted_before, found.predicted_after, found.stays) == (1, 1, True)
    assert found.probability_after == found.probability_before == pytest.approx(1 / (1 + math.exp(-4)))
    assert found.keeps
    assert model.calls == [1, 1]


@pytest.mark.parametrize("fill", ["blur", "mean"])
def test_what_is_not_read_does_not_suffice(model, image, fill):
    with pytest.raises(AttentionError) as raised:
        assert_region_suffices(model, image, REST, fill=fill, class_names=["cat", "dog"])

    first, _, *lines = str(raised.value).splitlines()
    assert first == f'box suffices: "dog" becomes "cat" ({fill})'
    assert '  prediction   FAILS: "dog" becomes "cat"' in lines
    assert any("try: the model reads something outside the region" in line for line in lines)
    assert raised.value.evidence.figures[0].limits.source == "the check itself"
    whole, alone = raised.value.evidence.views
    assert (whole.name, alone.name) == ("whole", "region-only")
    assert (whole.picture[8:14, 8:14] == alone.picture[8:14, 8:14]).all()
    assert (whole.picture[2:6, 2:6] != alone.picture[2:6, 2:6]).all()


def test_target_that_is_not_predicted_as_it_is_fails_and_says_so(model, image):
    with pytest.raises(AttentionError) as raised:
        assert_region_suffices(model, image, REST, target=0)
    assert str(raised.value).startswith("box suffices: class 1, not class 0, already with nothing hidden (blur)")
    assert "is this a failure of accuracy first?" in str(raised.value)


def test_probability_is_held_to_a_limit_where_there_is_one(image):
    def model(inputs):  # class 1 by 4 for LIT and 1 for REST
        lit, rest = inputs[:, :, 2:6, 2:6].mean(dim=(1, 2, 3)), inputs[:, :, 8:14, 8:14].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(lit), 2 * lit + 4 * rest - 1], dim=1)

    found = assert_region_suffices(model, image, LIT, fill="mean")
    after = 2 + 4 * 34 / 256 - 1
    assert found.probability_after == pytest.approx(1 / (1 + math.exp(-after)))  # 0.82, from 0.95
    assert assert_region_suffices(model, image, LIT, fill="mean", at_least=0.8).stays
    with pytest.raises(AttentionError, match=r"box suffices: probability 0\.82 < 0\.9 \(mean\)"):
        assert_region_suffices(model, image, LIT, fill="mean", at_least=0.9)


@pytest.mark.parametrize("target", [lambda row: row[1], ClassLogit(1, multi_label=True)])
def test_score_without_a_prediction_needs_a_limit(model, image, target):
    with pytest.raises(LimitError, match="has no prediction that could stay: give at_least="):
        assert_region_suffices(model, image, LIT, target=target)
    assert assert_region_suffices(model, image, LIT, target=target, at_least=0.9)
    with pytest.raises(AttentionError):
        assert_region_suffices(model, image, REST, target=target, at_least=0.9)


def test_region_in_the_pixels_of_the_input_suffices_where_the_preprocess_turns_the_image(model):
    array = np.zeros((16, 16, 3), dtype=np.uint8)
    array[0:8, 0:8] = 255

    def preprocess(picture):
        return torch.from_numpy(np.array(picture.rotate(10), dtype=np.float32) / 255).permute(2, 0, 1)

    given = {"fill": "mean", "preprocess": preprocess}
    with pytest.raises(PreprocessError):
        assert_region_suffices(model, array, LIT, **given)
    assert assert_region_suffices(model, array, LIT, **given, frame="input").stays
    with pytest.raises(AttentionError, match=r"box suffices: class 1 becomes class 0 \(mean\)"):
        assert_region_suffices(model, array, REST, **given, frame="input")


def test_inpainting_that_fails_is_told_to_be_the_likely_cause(model, image):
    with pytest.raises(AttentionError, match="try: inpainting continues the region's border"):
        assert_region_suffices(lambda x: model(x) * torch.tensor([1.0, -1.0]), 1 - image, LIT, fill="inpaint", target=0)


def test_region_that_leaves_nothing_to_hide_is_an_error(model, image):
    with pytest.raises(VacuousError, match="the region covers 94%"):
        assert_region_suffices(model, image, (0, 0, 16, 15))
    for fill in ("mean", "blur"):
        with pytest.raises(VacuousError, match=f"hiding all but the region by '{fill}' leaves the model's input as it"):
            assert_region_suffices(model, torch.ones(1, 16, 16), LIT, fill=fill)


class Lit(nn.Module):
    """The probability that LIT is lit: sigmoid(3) where it is, and sigmoid(-1) where it is grey."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(8 * inputs[:, :1, 2:6, 2:6].mean(dim=(2, 3)) - 5)


def test_single_probability_is_no_logit_that_always_predicts_class_1():
    bright = torch.ones(3, 16, 16)
    bright[:, 8:] = 0
    with pytest.raises(AttentionError, match="class 1 becomes class 0"):
        assert_region_suffices(Lit(), bright, REST, fill="mean")
    assert assert_region_suffices(Lit(), bright, LIT, fill="mean").probability_after == pytest.approx(
        1 / (1 + math.exp(-3))
    )


def test_single_score_without_a_graph_that_may_be_a_probability_is_warned_of():
    bright = torch.ones(3, 16, 16)
    bright[:, 8:] = 0
    with pytest.warns(ProbabilityWarning, match=r"lies in \[0, 1\]; it is read as a logit"):
        assert_region_suffices(lambda inputs: Lit()(inputs).numpy(), bright, LIT, fill="mean")
