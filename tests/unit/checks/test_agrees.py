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


def failure(*models: nn.Module, img: object = GREY, **given: object) -> list[str]:
    """Return the lines of a failure without the spaces that align them."""
    with pytest.raises(AttentionError) as raised:
        assert_attention_agrees(*models, img, **(HOW | given))
    return [" ".join(line.split()) for line in str(raised.value).splitlines()]


def test_what_both_have_in_common_is_said_once() -> None:
    halves = Weighted(*LEFT_FIRST), Weighted(part(4, 8, 2.0), part(0, 4))
    for mode in ("retrained", "same-weights"):
        lines = failure(*halves, target=0, mode=mode)
        # The means are 1 and 0.5: sigmoid(0.5) = 0.62.
        assert lines[4:7] == [
            "explained class 0, probability 0.62, predicted",
            "peaks (0, 0) (shared by 32 cells) and (4, 0) (shared by 32 cells), 4 px apart",
            "image input tensor, 8 x 8",
        ]
        assert not [line for line in lines if line.startswith("try:")]


def test_what_differs_and_what_was_compared_is_said() -> None:
    photo = Image.new("RGB", (12, 8), "white")
    crops = {
        "preprocess": lambda image: plain(image.crop((0, 0, 8, 8))),
        "reference_preprocess": lambda image: plain(image.crop((4, 0, 12, 8))),
    }
    model, reference = Weighted(part(2, 8, 2.0), part(0, 4)), Renamed(part(3, 8, 2.0), part(4, 8))
    lines = failure(model, reference, img=photo, reference_layer="gaze", target=0, **crops)
    # The means are 1.5 and 1.25 against 0.5: sigmoid(1) = 0.73 and sigmoid(0.75) = 0.68. Peaks are at 2.5 and 4 + 3.5.
    assert lines[4:8] == [
        "explained model: class 0, probability 0.73, predicted; reference: class 0, probability 0.68, predicted",
        "peaks (2, 0) (shared by 48 cells) and (8, 0) (shared by 40 cells), 5 px apart",
        "compared (4, 0, 8, 8), the part of the image that both saw",
        "differs layer: look against gaze; the model saw: (0, 0, 8, 8) against (4, 0, 12, 8)",
    ]


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


class Raising(Weighted):
    def __init__(self, error: Exception) -> None:
        super().__init__(*LEFT_FIRST)
        self.error = error

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, TypeError])
def test_what_a_reference_says_of_an_input_is_said_with_the_inputs_size(kind: type[Exception]) -> None:
    def larger(image: Image.Image) -> torch.Tensor:
        return plain(image.resize((8, 8)))

    words = r"^the reference failed on the input of 8 x 8 pixels that the model takes: no\. .*reference_preprocess=$"
    with pytest.raises(PreprocessError, match=words):
        assert_attention_agrees(
            Weighted(*LEFT_FIRST), Raising(kind("no")), Image.new("RGB", (4, 4), "white"), preprocess=larger, **HOW
        )


def test_a_mode_that_there_is_not_is_named_before_a_model_runs() -> None:
    with pytest.raises(KeywordError, match="there is no mode 'retraind'"):
        assert_attention_agrees(Raising(KeyError("ran")), Raising(KeyError("ran")), GREY, mode="retraind", **HOW)


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


def test_one_model_may_be_asked_at_two_layers_or_by_two_preprocesses() -> None:
    class Twice(Weighted):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.glance(self.look(image * self.weights)).mean(dim=(2, 3))

    model = Twice(*LEFT_FIRST)
    model.glance = nn.Identity()
    found = assert_attention_agrees(model, model, GREY, reference_layer="glance", mode="same-weights", **HOW)
    assert found.differences == ("layer: look against glance",)

    model, photo = Weighted(*LEFT_FIRST), Image.new("RGB", (8, 8), "white")
    darker = {"preprocess": plain, "reference_preprocess": lambda image: plain(image) / 2}
    scores = assert_attention_agrees(model, model, photo, mode="same-weights", **darker, **HOW)
    assert scores.first.score == 2 * scores.second.score


def test_a_reference_that_is_no_model_is_named() -> None:
    with pytest.raises(ModelError, match=r"^the reference: ") as raised:
        assert_attention_agrees(Weighted(*LEFT_FIRST), "resnet50", GREY, **HOW)
    assert "reference_layer" not in str(raised.value)
    with pytest.raises(LayerError, match=r"^the reference: Weighted has no layer 'lok'\. Did you mean 'look'\?$"):
        assert_attention_agrees(Weighted(*LEFT_FIRST), Weighted(*LEFT_FIRST), GREY, reference_layer="lok", **HOW)


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
