"""Hiding a region must make the prediction fall."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pytest_cam import (
    AttentionError,
    Box,
    ClassLogit,
    assert_prediction_needs_region,
    soft,
)
from pytest_cam.errors import (
    KeywordError,
    LimitError,
    NonFiniteError,
    PreprocessError,
    RegionError,
    SettingError,
    TargetError,
    VacuousError,
)
from pytest_cam.images.fills import FILLS
from pytest_cam.running import RUNNING, Agreed, Key

LIT, REST = (2, 2, 6, 6), (8, 8, 14, 14)
MEAN = (16 + 18) / 256  # of the picture


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image, dtype=np.float32) / 255).permute(2, 0, 1)


@pytest.mark.parametrize("fill", FILLS)
def test_hiding_what_is_read_changes_the_prediction(model, image, fill):
    found = assert_prediction_needs_region(model, image, LIT, fill=fill)

    assert (found.predicted_before, found.predicted_after, found.flips, found.stays) == (1, 0, True, False)
    assert found.probability_before == pytest.approx(sigmoid(4))
    assert model.calls == [1, 1]  # the image as it is, and with the region hidden
    assert found.picture().shape == (16, 16, 3)


def test_intervention_in_the_output_of_a_failing_assert_can_be_sent_whatever_its_names_hold(model, image):
    found = assert_prediction_needs_region(model, image, LIT, class_names=["dark", "caf\udce9"])

    assert repr(found).startswith("<Intervention region hidden by blur, caf\\udce9 ")


def test_figures_are_those_of_a_calculation_by_hand(model, image):
    found = assert_prediction_needs_region(model, image, LIT, fill="mean")

    assert found.probability_after == pytest.approx(sigmoid(8 * MEAN - 4))
    assert found.drop == pytest.approx(sigmoid(4) - sigmoid(8 * MEAN - 4))
    assert found.covered == pytest.approx(16 / 256)


def test_hiding_what_is_not_read_fails_with_the_reason(model, image):
    with pytest.raises(AttentionError) as raised:
        assert_prediction_needs_region(model, image, REST, class_names=["cat", "dog"])

    first, _, *lines = str(raised.value).splitlines()
    assert first == "prediction needs box: drop of probability 0.00 < 0.3 (blur)"
    text = "\n".join(lines)
    assert "from 0.982 to 0.982 when the region is hidden, and the prediction stays" in text
    assert re.search(r'explained +class 1 "dog"\n +as it is +probability 0.98, predicted\n', text)
    assert re.search(r"region +\(8, 8, 14, 14\), 14% of what the model sees", text)
    assert 'try: the model predicts "dog" without the region, too, so it reads something else' in text
    views = raised.value.evidence.views
    assert [view.name for view in views] == ["whole", "region-hidden"]
    # Where it is hidden the second picture differs from the first, and nowhere else.
    differs = (views[0].picture != views[1].picture).any(axis=2)
    assert differs[8:14, 8:14].all()
    assert differs.sum() == 36


def test_drop_without_a_flip_passes_by_its_limit(image):
    def model(inputs):  # class 1 by 4 for the box and 1 for nothing: hidden, it is still class 1
        mean = inputs[:, :, 2:6, 2:6].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(mean), 4 * mean + 1], dim=1)

    drop = sigmoid(5) - sigmoid(4 * MEAN + 1)  # 0.171
    assert assert_prediction_needs_region(model, image, LIT, fill="mean", drop_at_least=0.15).stays
    with pytest.raises(AttentionError, match=r"drop of probability 0\.17 < 0\.3 \(mean\)"):
        assert_prediction_needs_region(model, image, LIT, fill="mean")
    assert assert_prediction_needs_region(model, image, LIT, fill="mean", drop_at_least=drop - 1e-5)


def test_changed_prediction_passes_however_little_its_probability_falls(image):
    def model(inputs):  # class 1 by 0.1 where the box is lit, and class 0 by 0.1 where it is dark
        mean = inputs[:, :, 2:6, 2:6].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(mean), 0.2 * mean - 0.1], dim=1)

    found = assert_prediction_needs_region(model, image, LIT, fill="mean", drop_at_least=0.9)
    assert (found.predicted_before, found.predicted_after) == (1, 0)
    assert found.drop == pytest.approx(sigmoid(0.1) - sigmoid(0.2 * MEAN - 0.1))  # 0.04


def test_target_that_is_not_predicted_cannot_flip(model, image):
    # Class 0 becomes the prediction when the box is hidden: class 0 does not need it.
    with pytest.raises(AttentionError) as raised:
        assert_prediction_needs_region(model, image, LIT, target=0)
    text = str(raised.value)
    assert "try: the model predicts class 1, not class 0, with nothing hidden: is this a failure of accuracy" in text
    assert "try: the probability is below the limit before anything is hidden" in text


@pytest.mark.parametrize(("before", "limit", "is_too_low"), [(0.4, 0.45, True), (0.2, 0.1, False)])
def test_what_to_try_is_told_of_the_limit_in_force(model, monkeypatch, before, limit, is_too_low):
    # Of class 1, which is not predicted, the probability is on one side of the built-in limit and on the other of the
    # file's.
    image = torch.zeros(1, 16, 16)
    image[:, 2:6, 2:6] = (math.log(before / (1 - before)) + 4) / 8
    image[:, 8:14, 8:14] = 0.5
    key = Key(RUNNING.test, RUNNING.checks + 1, "prediction needs box", "drop of probability")
    monkeypatch.setattr(RUNNING, "agreed", {key: Agreed(limit)})
    with pytest.raises(AttentionError, match=rf"drop of probability 0\.00 < {limit}") as raised:
        assert_prediction_needs_region(model, image, REST, target=1)
    assert ("the probability is below the limit before anything is hidden" in str(raised.value)) == is_too_low


def test_callable_target_is_held_to_its_own_limit(model, image):
    def logit(row):
        return row[1]

    with pytest.raises(LimitError, match=r"target logit is no class.* give drop_at_least=.* the score is 4"):
        assert_prediction_needs_region(model, image, LIT, target=logit)
    found = assert_prediction_needs_region(model, image, LIT, target=logit, fill="mean", drop_at_least=6)
    assert found.drop == pytest.approx(8 - 8 * MEAN)
    with pytest.raises(AttentionError, match=r"prediction needs box: drop of score 6\.94 < 7 \(mean\)"):
        assert_prediction_needs_region(model, image, LIT, target=logit, fill="mean", drop_at_least=7)


def test_one_of_several_labels_has_a_drop_and_no_prediction(model, image):
    found = assert_prediction_needs_region(model, image, LIT, target=ClassLogit(1, multi_label=True))
    assert (found.predicted_before, found.predicted_after, found.flips) == (None, None, False)
    assert found.drop == pytest.approx(sigmoid(4) - found.probability_after)


def test_one_of_several_labels_is_no_class_among_others_once_the_region_is_hidden(image):
    # Two labels that are both always there. By softmax each would have 0.5 instead of 0.95.
    def both(inputs):
        return torch.full((len(inputs), 2), 3.0)

    with pytest.raises(AttentionError, match=r"drop of probability 0\.00 < 0\.3") as raised:
        assert_prediction_needs_region(both, image, LIT, target=ClassLogit(1, multi_label=True))
    assert re.search(r"as it is +probability 0\.95\n +region hidden +probability 0\.95\n", str(raised.value))


def test_single_logit_is_two_classes(model, image):
    found = assert_prediction_needs_region(lambda x: model(x)[:, 1:], image, LIT, target=1)
    assert (found.predicted_before, found.predicted_after) == (1, 0)


def test_image_is_changed_in_its_own_pixels_before_the_preprocess(model):
    # The model sees the right half, four times smaller: its box (2, 2, 6, 6) is (40, 8, 56, 24) of the image.
    array = np.zeros((64, 96, 3), dtype=np.uint8)
    array[8:24, 40:56] = 255

    def preprocess(picture):
        return to_tensor(picture.crop((32, 0, 96, 64)).resize((16, 16), Image.Resampling.BOX))

    found = assert_prediction_needs_region(model, array, Box(40, 8, 56, 24), fill="inpaint", preprocess=preprocess)
    assert found.probability_before == pytest.approx(sigmoid(4))
    assert found.probability_after == pytest.approx(sigmoid(-4))
    assert found.picture().shape == array.shape
    assert not found.picture().any()
    given = {"fill": "inpaint", "preprocess": preprocess, "frame": "input"}
    framed = assert_prediction_needs_region(model, array, LIT, **given)
    assert framed.probability_after == pytest.approx(found.probability_after, abs=1e-3)


def test_what_is_about_maps_changes_nothing(model, image):
    found = assert_prediction_needs_region(model, image, LIT, layer="no such", method=["gradcam", "rise"])
    assert found.flips


def test_model_and_random_numbers_come_back_as_they_were(image):
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(), nn.Flatten(), nn.Linear(256, 2)).train()
    nn.init.zeros_(model[3].weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    with pytest.raises(AttentionError):
        assert_prediction_needs_region(model, image, REST)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_random_numbers_that_a_preprocess_draws_are_put_back(model):
    def draws(image: Image.Image) -> torch.Tensor:
        torch.rand(1)
        return to_tensor(image)[:1]

    picture = Image.new("L", (16, 16))
    picture.paste(255, LIT)
    random = torch.get_rng_state()
    assert assert_prediction_needs_region(model, picture, LIT, preprocess=draws).flips
    assert torch.equal(torch.get_rng_state(), random)


def test_other_arguments_of_the_model_go_with_both_versions(model, image):
    def scaled(inputs, scale):
        assert scale.shape == (len(inputs), 1)
        return model(inputs) * scale

    assert assert_prediction_needs_region(scaled, image, LIT, model_args=(torch.ones(1, 1),)).flips


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"region": (0, 0, 16, 15)}, VacuousError, "the region covers 94% of what the model sees"),
        ({"region": (0, 0, 16, 14.42)}, VacuousError, r"covers 90\.1% of what the model sees.*at most 90%"),
        ({"region": (11, 0, 15, 4)}, VacuousError, "hiding the region by 'inpaint' leaves the model's input as it is"),
        ({"region": (0, 0, 99, 99)}, RegionError, "lies outside the image"),
        ({"region": Box(*LIT).dilate(1)}, RegionError, "no map is made here, so there are no cells to widen it by"),
        ({"fill": "grey"}, SettingError, "there is no fill 'grey'"),
        ({"drop_at_least": 0}, LimitError, r"drop_at_least is 0.*above 0 and at most 1"),
        ({"drop_at_least": 1.5}, LimitError, "drop_at_least is 1.5"),
        ({"drop_at_least": True}, LimitError, "drop_at_least is True"),
        ({"drop_at_least": np.True_}, LimitError, r"drop_at_least is (np\.True_|True);"),
        ({"drop_at_least": "much"}, LimitError, "drop_at_least is 'much'"),
        ({"drop_at_least": 0, "target": torch.sum}, LimitError, "drop_at_least is 0; .* callable target: .* above 0"),
        ({"target": [0, 1]}, TargetError, "target is a list of 2"),
        ({"at_least": 0.3}, KeywordError, r"no keyword 'at_least'\. Did you mean 'drop_at_least'"),
    ],
)
def test_bad_question_is_its_own_error(model, image, given, error, text):
    asked = {"region": LIT, "fill": "inpaint"} | given
    with pytest.raises(error, match=text):
        assert_prediction_needs_region(model, image, asked.pop("region"), **asked)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_score_that_is_not_finite_is_an_error(image, value):
    def model(inputs):  # only the image with the region hidden has it
        dark = inputs[:, 0, 4, 4] < 1
        return torch.stack([torch.zeros(len(inputs)), torch.where(dark, value, 1.0)], dim=1)

    with pytest.raises(NonFiniteError, match="class scores of the image with the region hidden"):
        assert_prediction_needs_region(model, image, LIT)


def test_preprocess_whose_output_depends_on_the_content_is_an_error(model):
    array = np.zeros((16, 16, 3), dtype=np.uint8)
    array[2:6, 2:6] = 255

    class Trims:
        def __call__(self, picture):
            tensor = to_tensor(picture)
            return tensor if tensor.max() == 1 else tensor[:, :8]

        def cam_geometry(self, size):
            return [[1, 0, 0], [0, 1, 0]]

    with pytest.raises(PreprocessError, match=r"\(3, 16, 16\) of array, and one \(3, 8, 16\) of the same image with"):
        assert_prediction_needs_region(model, array, LIT, preprocess=Trims())


def test_preprocess_that_turns_the_image_leaves_the_pixels_of_the_input(model):
    array = np.zeros((16, 16, 3), dtype=np.uint8)
    array[0:8, 0:8] = 255

    def preprocess(picture):
        return to_tensor(picture.rotate(10))

    given = {"fill": "mean", "preprocess": preprocess}
    with pytest.raises(PreprocessError):
        assert_prediction_needs_region(model, array, LIT, **given)
    assert assert_prediction_needs_region(model, array, LIT, **given, frame="input").flips


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("fill", FILLS)
def test_input_keeps_its_type_and_what_is_left_of_it_every_bit(image, dtype, fill):
    seen = []

    def model(inputs):
        seen.append(inputs)
        return torch.stack([torch.zeros(len(inputs)), 8 * inputs[:, 0, 3, 3].float() - 4], dim=1)

    noisy = (image + torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).to(dtype)
    assert_prediction_needs_region(model, noisy, LIT, target=1, fill=fill, drop_at_least=1e-6)
    before, after = seen
    assert before.dtype == after.dtype == dtype
    assert torch.equal(before[0], noisy)
    outside = torch.ones(16, 16, dtype=torch.bool)
    outside[2:6, 2:6] = False
    assert torch.equal(after[0][:, outside], noisy[:, outside])


def test_a_changed_prediction_is_a_check_that_ran(model, image):
    with soft() as block:
        assert assert_prediction_needs_region(model, image, LIT).flips
    assert (block.checks, block.failures) == (1, ())
