"""Two models must look at the same place, on networks whose map is the part of the image that they look at."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pytest_cam import Comparison, assert_attention_agrees, attend
from pytest_cam.engine import explaining
from pytest_cam.errors import (
    AttentionError,
    EmptyMapError,
    KeywordError,
    LayerError,
    LimitError,
    ModelError,
    PreprocessError,
    TargetError,
    VacuousError,
)


class Weighted(nn.Module):
    """Channel k of layer `look` is the image times the weights k, class k is its mean: the map of class k is it."""

    def __init__(self, *weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.stack(weights))
        self.look = nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.look(image[:, :1] * self.weights).mean(dim=(2, 3))


def part(x1: int, x2: int, value: float = 1.0, size: int = 8) -> torch.Tensor:
    weights = torch.zeros(size, size)
    weights[:, x1:x2] = value
    return weights


LEFT_FIRST = part(0, 4, 2.0), part(4, 8)
GREY = torch.ones(1, 8, 8)
HOW = {"layer": "look", "method": "gradcam"}


def test_equal_models_agree_by_both_rules() -> None:
    for mode in ("same-weights", "retrained"):
        comparison = assert_attention_agrees(Weighted(*LEFT_FIRST), Weighted(*LEFT_FIRST), GREY, mode=mode, **HOW)
        assert isinstance(comparison, Comparison)
        assert comparison.cosine == pytest.approx(1.0)
        assert comparison.first.target == comparison.second.target == 0


def test_no_target_is_put_to_a_method_that_ignores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "_told", set())  # a warning is an error here
    how = {"layer": "look", "method": "random"}  # drawn by the seed
    assert assert_attention_agrees(Weighted(*LEFT_FIRST), Weighted(*LEFT_FIRST), GREY, **how).cosine == pytest.approx(
        1.0
    )


def test_retrained_is_the_default_and_same_weights_is_stricter() -> None:
    # The half from 0 to 4 against that from 1 to 5: cosine 3 / 4, Pearson 0.5, and one of eight columns over.
    near = Weighted(part(1, 5, 2.0), part(5, 8))
    limits = {"pearson": 0.4}
    assert_attention_agrees(Weighted(*LEFT_FIRST), near, GREY, **limits, target=0, **HOW)
    with pytest.raises(AttentionError) as raised:
        assert_attention_agrees(Weighted(*LEFT_FIRST), near, GREY, mode="same-weights", target=0, **HOW)
    text = str(raised.value)
    assert text.startswith("attention of model agrees with reference: cosine 0.75 < 0.999; max difference 1.00 > 0.02")
    assert "(same-weights, gradcam, look)" in text.splitlines()[0]


def test_both_are_explained_for_the_class_that_the_model_predicts_and_a_hint_says_where_the_reference_differs() -> None:
    # The reference puts class 0 on the right half, and predicts class 1.
    reference = Weighted(part(4, 8), part(0, 4, 2.0))
    with pytest.raises(AttentionError) as raised:
        assert_attention_agrees(Weighted(*LEFT_FIRST), reference, GREY, class_names=["cat", "dog"], **HOW)
    text = str(raised.value)
    assert 'model: class 0 "cat"' in text
    assert 'reference: class 0 "cat"' in text
    assert "try: the model predicts cat and the reference dog" in text
    assert [view.name for view in raised.value.evidence.views] == ["model", "reference"]
    assert [figure.name for figure in raised.value.evidence.figures] == ["EMD", "Pearson"]


def test_maps_alike_under_the_strict_rule_are_told_of_the_other_one() -> None:
    almost = Weighted(part(0, 4, 2.0) + part(0, 1, 0.5), part(4, 8))
    with pytest.raises(AttentionError, match=r"try: the maps are alike.*mode='retrained'"):
        assert_attention_agrees(Weighted(*LEFT_FIRST), almost, GREY, mode="same-weights", target=0, **HOW)


def test_a_reference_of_another_input_size_is_compared_over_what_both_see() -> None:
    def smaller(image: Image.Image) -> torch.Tensor:
        return plain(image.resize((8, 8), Image.Resampling.BOX))

    photo = Image.new("RGB", (16, 16), "white")
    model = Weighted(part(0, 8, 2.0, 16), part(8, 16, 1.0, 16))
    comparison = assert_attention_agrees(
        model, Weighted(*LEFT_FIRST), photo, preprocess=plain, reference_preprocess=smaller, **HOW
    )
    assert comparison.first.map.shape == (16, 16)
    assert comparison.second.map.shape == (8, 8)
    assert comparison.emd < 0.05


def plain(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)


def test_an_input_that_does_not_fit_the_reference_is_named() -> None:
    other = Weighted(part(0, 5, 2.0, 10), part(5, 10, 1.0, 10))
    with pytest.raises(PreprocessError, match=r"reference failed on the input of 8 x 8.*pass the image"):
        assert_attention_agrees(Weighted(*LEFT_FIRST), other, GREY, **HOW)
    with pytest.raises(PreprocessError, match=r"reference failed.*give reference_preprocess="):
        assert_attention_agrees(
            Weighted(*LEFT_FIRST), other, Image.new("RGB", (8, 8), "white"), preprocess=plain, **HOW
        )


def test_a_layer_given_as_a_module_is_found_by_name_in_the_reference() -> None:
    model = Weighted(*LEFT_FIRST)
    comparison = assert_attention_agrees(
        model, Weighted(*LEFT_FIRST), GREY, layer=model.look, method="gradcam", mode="same-weights"
    )
    assert comparison.second.layer == "look"


class Renamed(Weighted):
    def __init__(self, *weights: torch.Tensor) -> None:
        super().__init__(*weights)
        self.gaze = self.look
        del self.look

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.gaze(image[:, :1] * self.weights).mean(dim=(2, 3))


def test_reference_layer_is_the_references_own() -> None:
    reference = Renamed(*LEFT_FIRST)
    comparison = assert_attention_agrees(Weighted(*LEFT_FIRST), reference, GREY, reference_layer="gaze", **HOW)
    assert comparison.second.layer == "gaze"
    with pytest.raises(LayerError, match=r"^the reference: .*'look'.*reference_layer= names its own layer"):
        assert_attention_agrees(Weighted(*LEFT_FIRST), reference, GREY, **HOW)


@pytest.mark.parametrize(
    ("given", "error", "names"),
    [
        ({"mode": "retraind"}, KeywordError, "there is no mode 'retraind'.*'retrained'"),
        ({"pearson": 3}, LimitError, "pearson=3 is outside the range of Pearson, -1 to 1"),
        ({"emd": "far"}, LimitError, "emd is 'far'; accepted: a number"),
        ({"pearsn": 0.5}, KeywordError, "no keyword 'pearsn'. Did you mean 'pearson'"),
        ({"target": [0, 1]}, TargetError, "takes one target"),
        ({"target": 7}, TargetError, "7"),
    ],
)
def test_what_makes_no_sense_is_named(given, error, names) -> None:
    with pytest.raises(error, match=names):
        assert_attention_agrees(Weighted(*LEFT_FIRST), Weighted(*LEFT_FIRST), GREY, **(HOW | given))


def test_a_model_is_not_compared_with_itself() -> None:
    model = Weighted(*LEFT_FIRST)
    with pytest.raises(VacuousError, match="one object"):
        assert_attention_agrees(model, model, GREY, **HOW)


def test_a_reference_that_is_no_model_is_named() -> None:
    with pytest.raises(ModelError, match=r"^the reference: "):
        assert_attention_agrees(Weighted(*LEFT_FIRST), "resnet50", GREY, **HOW)


def test_an_empty_map_is_an_error() -> None:
    nothing = Weighted(torch.zeros(8, 8), torch.zeros(8, 8))
    with pytest.raises(EmptyMapError):
        assert_attention_agrees(Weighted(*LEFT_FIRST), nothing, GREY, **HOW)


def test_attentions_agree_by_the_same_rule() -> None:
    one, other = (attend(Weighted(*LEFT_FIRST), GREY, target=target, **HOW) for target in (0, 1))
    assert one.assert_agrees(one, "same-weights").max_difference == 0
    with pytest.raises(AttentionError, match=r"attention of first agrees with second: EMD 0\.35 > 0\.15"):
        one.assert_agrees(other)
    with pytest.raises(KeywordError, match="Did you mean 'pearson'"):
        one.assert_agrees(other, pearsn=0.1)
    one.assert_agrees(other, emd=0.4, pearson=-1.0)
