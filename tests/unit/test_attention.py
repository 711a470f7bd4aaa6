"""Attention and its verbs, on networks whose map is known: it is the input itself."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from PIL import Image
from torch import nn

import pytest_cam
from pytest_cam import (
    AttentionError,
    Box,
    assert_attention_in_region,
    assert_attention_not_in_region,
    attend,
    attend_batch,
)
from pytest_cam.errors import (
    EmptyMapError,
    ImageError,
    LimitError,
    MetricError,
    ModelError,
    NonFiniteError,
    NotAffineError,
    RegionError,
    SettingError,
    TargetError,
    UnattainableError,
    VacuousError,
)


class Mirror(nn.Module):
    """Class 1 grows with the image's brightness, class 0 falls: the map of class 1 is the image."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        bright = self.look(image).mean(dim=(1, 2, 3))
        return torch.stack([-bright, bright], dim=1)


@pytest.fixture
def model() -> Mirror:
    return Mirror()


def spot(x: int, y: int, side: int = 8, size: int = 32) -> torch.Tensor:
    image = torch.zeros(1, size, size)
    image[:, y : y + side, x : x + side] = 1
    return image


def test_map_is_raw_and_cannot_be_changed(model: Mirror) -> None:
    attention = attend(model, 3 * spot(4, 4), layer="look", method="gradcam")
    assert attention.map.dtype == np.float32
    # The weight of the only channel is d mean / d pixel = 1 / 1024.
    assert attention.map.max() == pytest.approx(3 / 1024)
    with pytest.raises(ValueError, match="read-only"):
        attention.map[0, 0] = 1


def test_attention_says_what_it_is(model: Mirror) -> None:
    attention = attend(model, spot(4, 4), class_names=["dark", "bright"])
    assert (attention.layer, attention.layer_calls, attention.method) == ("look", 1, "gradcam++")
    assert (attention.target, attention.explained.name, attention.explained.is_predicted) == (1, "bright", True)
    assert attention.score == pytest.approx(64 / 1024)
    assert attention.explained.probability == pytest.approx(torch.tensor([-1.0, 1.0]).mul(64 / 1024).softmax(0)[1])


def test_attention_is_short_in_the_output_of_a_failing_assert(model: Mirror) -> None:
    assert repr(attend(model, spot(4, 4))) == "<Attention gradcam++ look 32 x 32, class 1, input tensor>"


def test_attention_in_the_output_of_a_failing_assert_can_be_sent_whatever_its_names_hold(model: Mirror) -> None:
    attention = attend(model, spot(4, 4), class_names=["dark", "caf\udce9"])
    assert repr(attention) == "<Attention gradcam++ look 32 x 32, caf\\udce9, input tensor>"


def test_numbers_by_hand(model: Mirror) -> None:
    attention = attend(model, spot(4, 4))
    # Half of the 8 x 8 spot lies in this box of 4 x 8; chance is 32 / 1024, and the ceiling of a pixel grid is 1.
    half = (4, 4, 8, 12)
    assert attention.energy_in(half) == pytest.approx(0.5)
    assert attention.skill_in(half) == pytest.approx((0.5 - 1 / 32) / (1 - 1 / 32))
    assert attention.measure("lift", half).value == pytest.approx(16)


def test_peak_is_the_centre_of_the_strongest_cell(model: Mirror) -> None:
    image = spot(4, 4)
    image[0, 6, 9] = 2
    assert attend(model, image).peak == (9.5, 6.5)


def test_boxes_surround_what_exceeds_half_the_maximum_largest_first(model: Mirror) -> None:
    image = spot(2, 4) + spot(20, 22, side=4)
    image[0, 0, 31] = 0.4
    assert attend(model, image).boxes() == [Box(2, 4, 10, 12), Box(20, 22, 24, 26)]
    assert len(attend(model, image).boxes(threshold=0.3)) == 3
    for threshold in (0, 1.5, math.nan, "a half", None):
        with pytest.raises(SettingError, match=f"threshold is {threshold!r}; accepted: a share of the map's maximum"):
            attend(model, image).boxes(threshold=threshold)


def test_boxes_end_where_the_image_does_and_not_in_its_padding(model: Mirror) -> None:
    # 32 x 16 in the middle of 32 x 32: one bright square reaches from the padding into the image, one does not.
    letterbox = v1.Compose([v1.Pad((0, 8)), v1.ToTensor(), lambda x: torch.maximum(x, bright)])
    bright = spot(4, 4) + spot(20, 26, side=4)
    attention = attend(model, Image.new("RGB", (32, 16)), layer="look", method="gradcam", preprocess=letterbox)
    (box,) = attention.boxes()
    assert box == Box(4, 0, 12, 4)
    assert attention.energy_in(box) == pytest.approx(32 / 80)


def test_boxes_and_peak_are_in_image_pixels(model: Mirror) -> None:
    photo = Image.new("L", (60, 40))
    photo.paste(255, (30, 10, 38, 18))
    attention = attend(model, photo, preprocess=v1.Compose([v1.Grayscale(), v1.CenterCrop(32), v1.ToTensor()]))
    assert attention.boxes() == [Box(30, 10, 38, 18)]
    assert attention.energy_in((30, 10, 38, 18)) == pytest.approx(1)


def test_overlay_is_drawn_on_the_whole_image(model: Mirror) -> None:
    photo = Image.new("RGB", (60, 40), (200, 200, 200))
    drawn = attend(model, photo, preprocess=v1.Compose([v1.Grayscale(), v1.CenterCrop(32), v1.ToTensor()])).overlay()
    assert drawn.shape == (40, 60, 3)
    assert drawn[0, 0].tolist() == [70, 70, 70]  # what the model did not see is dimmed


def test_in_region_passes_and_returns_the_attention(model: Mirror) -> None:
    attention = assert_attention_in_region(model, spot(4, 4), (4, 4, 12, 12), "look", method="gradcam++")
    assert attention.skill_in((4, 4, 12, 12)) == pytest.approx(1)


@pytest.mark.parametrize("metric", ["skill", "pointing"])
def test_in_region_fails_where_the_model_looks_elsewhere(model: Mirror, metric: str) -> None:
    image = spot(4, 4)
    image[0, 5, 5] = 1.5
    with pytest.raises(AttentionError) as raised:
        assert_attention_in_region(model, image, (20, 20, 28, 28), metric=metric)
    assert raised.value.evidence is not None
    assert raised.value.evidence.measurements[0].passed is False


def test_text_of_a_failure_explains_itself(model: Mirror) -> None:
    image = spot(4, 4)
    image[0, 5, 5] = 1.5
    with pytest.raises(AttentionError) as raised:
        assert_attention_in_region(model, image, (20, 20, 28, 28), target=0 + 1, class_names=["dark", "bright"])
    text = str(raised.value)
    assert text.splitlines()[0] == "attention in box: skill -0.07 < 0.25 (gradcam++, look)"
    for words in (
        "energy     0.00 in the region; chance 0.06, ceiling 1.00",
        'class 1 "bright", probability 0.5',
        "predicted",
        "region     (20, 20, 28, 28)",
        "peak       (6, 6), 21 px outside the region",
        "input tensor, 32 x 32",
        "┏",
        "X",
    ):
        assert words in text


def test_target_that_is_not_predicted_is_pointed_out(model: Mirror) -> None:
    with pytest.raises(AttentionError, match=r"the model predicts class 0.*is this a failure of accuracy first"):
        assert_attention_in_region(model, spot(4, 4) - 2 * spot(20, 20), (20, 2, 28, 10), target=1)


def test_not_in_region_measures_one_cell_around(model: Mirror) -> None:
    # The mark next to the spot is clean, but one cell around it is not.
    with pytest.raises(AttentionError, match=r"^attention not in box: lift [\d.]+ > 1") as raised:
        assert_attention_not_in_region(model, spot(4, 4), (12, 4, 16, 8))
    assert raised.value.evidence.measurements[0].region == Box(11, 3, 17, 9)
    assert "widened by one cell to (11, 3, 17, 9)" in str(raised.value)
    assert_attention_not_in_region(model, spot(4, 4), (14, 4, 18, 8))


def test_zero_map_is_an_error_of_its_own_in_every_verb(model: Mirror) -> None:
    attention = attend(model, spot(4, 4), layer="look", target=0, method="gradcam")
    assert attention.map.max() == 0
    verbs = [
        lambda: attention.energy_in((4, 4, 12, 12)),
        lambda: attention.assert_in_region((4, 4, 12, 12)),
        lambda: attention.assert_not_in_region((4, 4, 12, 12)),
        lambda: attention.peak,
        lambda: attention.boxes(),
    ]
    for verb in verbs:
        with pytest.raises(EmptyMapError, match="no positive evidence for target 0 at look") as raised:
            verb()
        assert raised.value.evidence is not None
        assert not isinstance(raised.value, AttentionError)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"box": (20, 20, 40, 28)}, RegionError, "outside the image"),
        ({"box": (0, 0, 32, 30)}, VacuousError, "covers 94%"),
        ({"metric": "skil"}, MetricError, "Did you mean 'skill'"),
        ({"metric": "energy"}, LimitError, "no default limit"),
        ({"at_least": 2}, LimitError, "outside the range"),
        ({"at_least": 0.5, "at_most": 0.4}, LimitError, "above"),
        ({"metric": "lift", "at_least": 500}, UnattainableError, "best possible"),
        ({"metric": "energy", "at_least": 0}, VacuousError, "whatever the model does"),
        ({"device": "warp"}, ModelError, "accepted: 'cpu'"),
        ({"device": 3.5}, ModelError, r"device is 3\.5; accepted: 'cpu', 'cuda'"),
        ({"device": "meta"}, ModelError, r"the model is on cpu, and device is meta.*cam_device"),
        ({"target": 2}, TargetError, "0 to 1"),
    ],
)
def test_senseless_questions_are_named(model: Mirror, arguments: dict, error: type[Exception], words: str) -> None:
    model.register_buffer("somewhere", torch.zeros(1))
    with pytest.raises(error, match=words):
        assert_attention_in_region(model, spot(4, 4), **{"box": (4, 4, 12, 12), **arguments})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_input_that_is_not_finite_is_named(model: Mirror, value: float) -> None:
    image = spot(4, 4)
    image[0, 0, 0] = value
    with pytest.raises(NonFiniteError, match=r"(NaN|infinity) in the input that the model was given: 1 of 1024"):
        attend(model, image)


def test_batch_gives_one_attention_each(model: Mirror) -> None:
    images = torch.stack([spot(4, 4), spot(20, 8), spot(8, 20)])
    attentions = attend_batch(model, images, target=[1, 1, 1])
    assert [attention.boxes()[0] for attention in attentions] == [
        Box(4, 4, 12, 12),
        Box(20, 8, 28, 16),
        Box(8, 20, 16, 28),
    ]


def test_batch_of_photos_keeps_each_photos_own_coordinates(model: Mirror) -> None:
    photos = []
    for size in ((40, 40), (60, 50)):
        photo = Image.new("L", size)
        photo.paste(255, (20, 20, 24, 24))
        photos.append(photo)
    preprocess = v1.Compose([v1.Grayscale(), v1.CenterCrop(32), v1.ToTensor()])
    attentions = attend_batch(model, photos, preprocess=preprocess)
    assert [attention.boxes() for attention in attentions] == [[Box(20, 20, 24, 24)]] * 2


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "no images"),
        (torch.zeros(0, 1, 4, 4), "no images"),
        (torch.zeros(1, 4, 4), r"\(1, 4, 4\); accepted: \(B, C, H, W\)"),
        ("photo.png", "a str; accepted"),
        ([torch.zeros(1, 4, 4), torch.zeros(1, 4, 5)], "one shape"),
    ],
)
def test_what_is_no_batch_is_named(model: Mirror, images: object, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        attend_batch(model, images)  # type: ignore[arg-type]  # what a user may do


def test_batch_passed_to_attend_points_to_attend_batch(model: Mirror) -> None:
    with pytest.raises(ImageError, match="attend_batch"):
        attend(model, torch.zeros(2, 1, 4, 4))


def test_photo_and_its_own_input_tensor_give_the_same_numbers(model: Mirror, tmp_path: Path) -> None:
    photo = Image.new("L", (32, 32))
    photo.paste(255, (4, 4, 12, 12))
    photo.save(tmp_path / "photo.png")
    preprocess = v1.Compose([v1.Grayscale(), v1.ToTensor()])
    from_file = attend(model, tmp_path / "photo.png", preprocess=preprocess).skill_in((4, 4, 14, 14))
    assert from_file == attend(model, spot(4, 4)).skill_in((4, 4, 14, 14))


def cropped(image: Image.Image) -> torch.Tensor:
    return v1.functional.to_tensor(image.convert("L").crop((14, 4, 46, 36)))


def turned(image: Image.Image) -> torch.Tensor:
    return v1.functional.to_tensor(image.convert("L").rotate(30).crop((14, 4, 46, 36)))


@pytest.fixture
def photo() -> Image.Image:
    """60 x 40 pixels, with a spot that a crop at (14, 4) shows at (16, 6, 24, 14)."""
    photo = Image.new("L", (60, 40))
    photo.paste(255, (30, 10, 38, 18))
    return photo


def test_box_in_input_pixels_is_the_same_box(model: Mirror, photo: Image.Image) -> None:
    on_input, on_image = (16, 6, 20, 14), (30, 10, 34, 18)
    attention = attend(model, photo, preprocess=cropped)
    assert attention.energy_in(on_input, frame="input") == attention.energy_in(on_image) == pytest.approx(0.5)
    assert attention.skill_in(on_input, frame="input") == attention.skill_in(on_image, frame="image")
    assert attention.measure("lift", on_input, frame="input").region == Box(*on_image)


def test_failure_in_input_pixels_is_told_and_drawn_on_the_image(model: Mirror, photo: Image.Image) -> None:
    assert_attention_in_region(model, photo, (16, 6, 24, 14), preprocess=cropped, frame="input")
    with pytest.raises(AttentionError, match=r"region +\(14, 26, 22, 34\)") as raised:
        assert_attention_in_region(model, photo, (0, 22, 8, 30), preprocess=cropped, frame="input")
    assert raised.value.evidence.picture.shape == (40, 60, 3)
    with pytest.raises(AttentionError, match=r"\(30, 10, 38, 18\) widened"):
        assert_attention_not_in_region(model, photo, (16, 6, 24, 14), preprocess=cropped, frame="input")


def test_preprocess_that_cannot_be_followed_works_in_input_pixels(model: Mirror, photo: Image.Image) -> None:
    with pytest.raises(NotAffineError, match=r"right angles.*frame='input'"):
        assert_attention_in_region(model, photo, (16, 6, 24, 14), preprocess=turned)
    found = attend(model, photo, preprocess=turned, frame="input").boxes()[0]
    attention = assert_attention_in_region(model, photo, found, preprocess=turned, frame="input")
    assert attention.overlay().shape == (32, 32, 3)
    with pytest.raises(AttentionError) as raised:
        attention.assert_in_region((0, 24, 8, 32), frame="input")
    # The picture is the input, stretched to its own range.
    assert raised.value.evidence.picture.shape == (32, 32, 3)
    assert raised.value.evidence.picture.max() == 255
    # Pixels of the photo mean nothing here, and are not taken for others.
    with pytest.raises(NotAffineError, match="frame='input'"):
        attention.energy_in((30, 10, 38, 18))


def test_batch_takes_a_preprocess_that_cannot_be_followed(model: Mirror, photo: Image.Image) -> None:
    attentions = attend_batch(model, [photo, photo], preprocess=turned, frame="input")
    assert attentions[0].boxes() == attentions[1].boxes()


def test_tensor_is_the_same_in_both_frames(model: Mirror) -> None:
    attention = attend(model, spot(4, 4), frame="input")
    assert attention.energy_in((4, 4, 8, 12), frame="input") == attention.energy_in((4, 4, 8, 12))


@pytest.mark.parametrize("verb", [assert_attention_in_region, assert_attention_not_in_region])
def test_frame_that_does_not_exist_is_named(model: Mirror, verb) -> None:
    with pytest.raises(RegionError, match=r"frame is 'model'; accepted: 'image' .* or 'input'"):
        verb(model, spot(4, 4), (4, 4, 12, 12), frame="model")
    with pytest.raises(RegionError, match="frame is 'model'"):
        attend(model, spot(4, 4)).skill_in((4, 4, 12, 12), frame="model")


def test_public_names_are_all_there() -> None:
    for name in pytest_cam.__all__:
        assert getattr(pytest_cam, name).__name__ == name
    assert pytest_cam.EmptyMapError is EmptyMapError
    with pytest.raises(AttributeError, match="has no attribute 'atend'"):
        _ = pytest_cam.atend


def test_peak_that_is_shared_passes_no_pointing_check_either_way(model: Mirror) -> None:
    attention = attend(model, spot(4, 4), layer="look", method="gradcam", target=1)
    for check in (attention.assert_in_region, attention.assert_not_in_region):
        with pytest.raises(AttentionError, match="pointing undecided, the peak is shared by 64 cells"):
            check((20, 20, 28, 28), metric="pointing")


class Twice(Mirror):
    """Its layer runs twice: on the image, and on that turned upside down."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return super().forward(self.look(image).flip(2))


@pytest.mark.parametrize(("given", "explained", "peak"), [(None, 2, (4.5, 20.5)), (1, 1, (4.5, 4.5))])
def test_failure_says_which_run_of_the_layer_is_explained(given: int | None, explained: int, peak: tuple) -> None:
    # The spot is in rows 4 to 12, and turned upside down in rows 20 to 28.
    attention = attend(Twice(), spot(4, 4), layer="look", target=1, layer_call=given)
    assert attention.peak == peak
    with pytest.raises(AttentionError, match=rf"energy 0\.00 < 0\.5 \(gradcam\+\+, look in run {explained} of 2\)"):
        attention.assert_in_region((24, 0, 32, 16), metric="energy", at_least=0.5)
