"""The map must move with the image, on networks that look at what is bright, or always at one place."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pytest_cam import (
    AttentionError,
    Brightness,
    ClassLogit,
    DetectionBox,
    Flip,
    Jpeg,
    Noise,
    Shift,
    assert_attention_stable,
    attend,
)
from pytest_cam.engine import explaining
from pytest_cam.errors import (
    EmptyMapError,
    FlatMapError,
    KeywordError,
    LimitError,
    OutputError,
    PerturbationError,
    TargetError,
    TargetIgnoredWarning,
    VacuousError,
)
from pytest_cam.running import RUNNING, Agreed, Key

HOW = {"layer": "look", "method": "gradcam", "target": 1}


class Bright(nn.Module):
    """Class 1 is the mean at `look`, so its map is the image's first channel in cells of 4 pixels."""

    def __init__(self, weights: torch.Tensor | None = None) -> None:
        super().__init__()
        self.weights = weights
        self.look = nn.AvgPool2d(4)
        self.batches: list[int] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(image))
        bright = image[:, :1] if self.weights is None else self.weights.expand(len(image), 1, 32, 32)
        score = (self.look(bright + 0 * image[:, :1])).mean(dim=(1, 2, 3))
        return torch.stack([-score, score], dim=1)


def spot(x: int = 8, y: int = 12, side: int = 8) -> torch.Tensor:
    image = torch.zeros(1, 32, 32)
    image[:, y : y + side, x : x + side] = 1
    return image


def photo() -> Image.Image:
    pixels = np.full((32, 32, 3), 20, dtype=np.uint8)
    pixels[12:20, 8:16] = 180
    return Image.fromarray(pixels)


def plain(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)


def test_a_map_that_is_the_image_moves_with_it_exactly() -> None:
    result = assert_attention_stable(Bright(), spot(), ["flip", "shift", Shift(-2)], at_least=0.999, **HOW)
    assert [(each.name, each.pearson) for each in result.under] == [
        ("flip", pytest.approx(1.0)),
        ("shift", pytest.approx(1.0)),
        ("shift by -2", pytest.approx(1.0)),
    ]
    # The spot of 2 x 2 cells starts in column 2; mirrored, of eight columns, in column 4.
    assert result.under[0].attention.map[4].nonzero()[0].tolist() == [4, 5]
    assert result.under[1].attention.map[4].nonzero()[0].tolist() == [3, 4]


def test_a_map_that_stays_where_it_is_fails_when_the_image_moves() -> None:
    with pytest.raises(AttentionError) as raised:
        assert_attention_stable(Bright(spot()[None]), spot(), ["flip", "shift"], **HOW)
    text = str(raised.value)
    # Of 64 cells four are 1, and mirrored four others: (0 - 4 * 4 / 64) / (4 - 16 / 64).
    assert text.startswith("attention stable: Pearson under flip -0.07 < 0.8; Pearson under shift 0.18 < 0.8 (gradcam")
    assert "try: a mirrored letter" in text
    assert [view.title for view in raised.value.evidence.views] == [
        "as it is",
        "flip: Pearson -0.07",
        "shift: Pearson 0.18",
    ]


def test_moved_inputs_are_drawn_where_they_lie_in_the_photo() -> None:
    wide = Image.new("RGB", (64, 32), (20, 20, 20))
    wide.paste(photo(), (8, 0))
    show = {"preprocess": lambda image: plain(image.crop((8, 0, 40, 32)))}
    with pytest.raises(AttentionError) as raised:
        assert_attention_stable(Bright(spot()[None]), wide, ["flip", "brightness"], **(HOW | show))
    original, flipped, brighter = raised.value.evidence.views
    assert flipped.picture.shape == original.picture.shape == brighter.picture.shape
    # The spot is at 8 to 16 of the crop; mirrored, at 16 to 24 of it, which begins at 8 of the photo.
    assert (np.flatnonzero(flipped.picture[16, :, 0] > 100) == np.arange(24, 32)).all()
    assert flipped.geometry == original.geometry
    assert (np.flatnonzero(brighter.picture[16, :, 0] > 100) == np.arange(16, 24)).all()


def test_a_map_that_is_gone_has_nothing_in_common_with_the_original() -> None:
    def black(image: torch.Tensor) -> torch.Tensor:
        return 0 * image

    with pytest.raises(AttentionError) as raised:
        assert_attention_stable(Bright(), spot(), black, class_names=["dark", "lit"], **HOW)
    text = str(raised.value)
    assert text.startswith("attention stable: Pearson under black 0.00 < 0.8 (gradcam, look)")
    assert re.search(r'explained +class 1 "lit", .*\n +empty +under black the map is zero everywhere\n', text)
    assert "try: under black the model predicts dark and no longer lit: is it accurate there?" in text
    assert "mirrored" not in text


def test_one_perturbation_that_fails_fails_the_check_and_is_drawn_first() -> None:
    def elsewhere(image: torch.Tensor) -> torch.Tensor:
        return image.roll(16, dims=2)

    with pytest.raises(AttentionError, match=r"^attention stable: Pearson under elsewhere -0\.07 < 0\.8 \(") as raised:
        assert_attention_stable(Bright(), spot(), ["flip", elsewhere], **HOW)
    assert [view.name for view in raised.value.evidence.views] == ["original", "perturbed-2", "perturbed-1"]
    text = str(raised.value)
    assert "try:" not in text  # of flip, which passes
    assert "empty" not in text


def test_map_that_is_half_alike_when_mirrored_fails_with_a_hint() -> None:
    # Six cells, of which four are where they are in the mirror, too: (4 - 36 / 64) / (6 - 36 / 64).
    wide = torch.zeros(1, 32, 32)
    wide[:, 12:20, 8:20] = 1
    with pytest.raises(AttentionError, match=r"(?s)Pearson under flip 0\.63 < 0\.8 .*try: a mirrored letter"):
        assert_attention_stable(Bright(wide[None]), spot(), "flip", **HOW)


@pytest.mark.parametrize(("right", "limit", "fails"), [(20, 0.6, False), (23, 0.99, True)])
def test_whether_the_mirrored_map_fails_is_asked_of_the_limit_in_force(
    monkeypatch: pytest.MonkeyPatch, right: int, limit: float, fails: bool
) -> None:
    # Mirrored, the map that ends at 20 correlates by 0.63 and the one that ends at 23, almost the same, by 0.98.
    wide = torch.zeros(1, 32, 32)
    wide[:, 12:20, 8:right] = 1
    names = ("Pearson under flip", "Pearson under shift")
    keys = [Key(RUNNING.test, RUNNING.checks + 1, "attention stable", name) for name in names]
    monkeypatch.setattr(RUNNING, "agreed", dict.fromkeys(keys, Agreed(limit)))
    with pytest.raises(AttentionError, match=rf"Pearson under shift 0\.\d+ < {limit}") as raised:
        assert_attention_stable(Bright(wide[None]), spot(), ["flip", "shift"], **HOW)
    assert ("a mirrored letter" in str(raised.value)) == fails


def known() -> nn.Module:
    """Return a model of torch's own modules, whose map at its first one is the image's first channel in cells."""
    model = nn.Sequential(nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    with torch.no_grad():
        model[3].weight.copy_(torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    return model


@pytest.mark.parametrize(
    ("model", "layer", "batches"),
    [(known(), "0", [1, 4]), (Bright(), "look", [1, 1, 1, 1, 1])],
    ids=["torch's own modules", "a model of the user's"],
)
def test_perturbed_images_go_in_one_pass_where_they_cannot_mix(
    model: nn.Module, layer: str, batches: list[int], run_on: list[torch.Tensor]
) -> None:
    result = assert_attention_stable(model, photo(), preprocess=plain, layer=layer, method="gradcam", target=1)
    assert [each.name for each in result.under] == ["shift", "brightness", "noise", "jpeg"]
    assert list(map(len, run_on)) == batches


def test_a_model_that_normalises_over_the_batch_is_asked_of_each_image_alone() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), *known())
    result = assert_attention_stable(model, photo(), preprocess=plain, layer="1", method="gradcam", target=1)
    for each in result.under:
        alone = attend(model, each.attention.image.pixels, preprocess=plain, layer="1", method="gradcam", target=1)
        np.testing.assert_array_equal(each.attention.map, alone.map)


def test_a_tensor_has_no_jpeg_and_is_asked_the_rest() -> None:
    result = assert_attention_stable(Bright(), spot(), **HOW)
    assert [each.name for each in result.under] == ["shift", "brightness", "noise"]
    with pytest.raises(PerturbationError, match=r"jpeg is of an image's pixels.*leave 'jpeg' out"):
        assert_attention_stable(Bright(), spot(), "jpeg", **HOW)


class Predicting(Bright):
    """Class 0 is a fixed 0.05: it is predicted where the image is dark."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores = super().forward(image)
        return torch.stack([0 * scores[:, 1] + 0.05, scores[:, 1]], dim=1)


def test_perturbed_images_are_explained_for_the_class_of_the_original() -> None:
    def dark(image: torch.Tensor) -> torch.Tensor:
        return image * 0.1

    result = assert_attention_stable(Predicting(), spot(), dark, layer="look", method="gradcam")
    (under,) = result.under
    assert result.attention.target == under.attention.target == 1
    assert under.attention.explained.predicted == 0
    assert under.pearson == pytest.approx(1.0)


def test_perturbed_images_are_explained_for_the_function_that_the_original_is() -> None:
    def lit(scores: torch.Tensor) -> torch.Tensor:
        return scores[1]

    (under,) = assert_attention_stable(Bright(), spot(), "noise", **(HOW | {"target": lit})).under
    assert (under.attention.explained.name, under.attention.target) == ("lit", None)


def test_no_target_is_put_to_a_method_that_ignores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "_told", set())  # a warning is an error here
    result = assert_attention_stable(Bright(), spot(), "noise", layer="look", method="eigencam")
    assert result.under[0].pearson == pytest.approx(1.0, abs=0.05)
    with pytest.warns(TargetIgnoredWarning, match="target=1 changes only what the message says"):
        assert_attention_stable(Bright(), spot(), "noise", layer="look", method="eigencam", target=1)


def test_own_functions_and_values() -> None:
    def darker_corner(image: Image.Image) -> Image.Image:
        image.paste((10, 10, 10), (24, 24, 32, 32))
        return image

    original = photo()
    under = [darker_corner, Brightness(0.5), Noise(0.01, seed=3), Jpeg(50), Flip()]
    result = assert_attention_stable(Bright(), original, under, preprocess=plain, **HOW)
    assert [each.name for each in result.under] == [
        "darker_corner",
        "brightness 0.5",
        "noise 0.01",
        "jpeg 50",
        "flip",
    ]
    assert np.array_equal(np.asarray(original), np.asarray(photo()))


def test_noise_is_the_seeds_and_leaves_the_global_generators_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (
        assert_attention_stable(Bright(), spot(), "noise", seed=seed, **HOW).under[0].pearson
        for seed in (0, np.int64(0), 1)
    )
    assert first == again != other
    assert torch.equal(state, torch.get_rng_state())


ON_CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"))


@pytest.mark.parametrize("device", ["cpu", ON_CUDA])
def test_what_a_preprocess_and_a_function_do_to_the_model_and_its_generator_is_put_back(device: str) -> None:
    model = Bright()
    model.register_buffer("runs", torch.zeros(1, device=device))
    generator = torch.cuda if device == "cuda" else torch

    def seen(image: Image.Image) -> torch.Tensor:
        model.runs += torch.rand(1, device=device)
        return plain(image)

    def brighter(image: Image.Image) -> Image.Image:
        model.runs += torch.rand(1, device=device)
        return image.point(lambda value: value + 9)

    state = generator.get_rng_state()
    assert_attention_stable(model, photo(), brighter, preprocess=seen, **HOW)
    assert torch.equal(model.runs.cpu(), torch.zeros(1))
    assert torch.equal(generator.get_rng_state(), state)


def test_a_random_function_is_an_error() -> None:
    def jitter(image: torch.Tensor) -> torch.Tensor:
        return image + torch.rand_like(image)

    with pytest.raises(PerturbationError, match="random perturbation without seed: jitter"):
        assert_attention_stable(Bright(), spot(), [jitter], **HOW)


@pytest.mark.parametrize(
    ("under", "error", "names"),
    [
        ("flipp", PerturbationError, "there is no perturbation 'flipp'. Did you mean 'flip'"),
        (["noise", 3], PerturbationError, "there is no perturbation 3"),
        ([Flip], PerturbationError, r"write Flip\(\)"),
        ([], VacuousError, "under is empty"),
        (["flip", Flip()], PerturbationError, "twice: flip, flip"),
        ([Shift(4)], PerturbationError, "a shift by 4 leaves too little of a map of 8 x 8 cells"),
        ([lambda image: image], VacuousError, "changes nothing in input tensor"),
        ([lambda image: image[:, 1:]], PerturbationError, r"returned a Tensor of \(1, 31, 32\); accepted: a floating"),
        ([lambda image: None], PerturbationError, "returned None; accepted"),
    ],
)
def test_perturbations_that_make_no_sense_are_named(under, error, names) -> None:
    with pytest.raises(error, match=names):
        assert_attention_stable(Bright(), spot(), under, **HOW)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Shift(0),
        lambda: Shift(1.5),
        lambda: Brightness(1),
        lambda: Noise(0),
        lambda: Noise(seed=None),
        lambda: Noise(seed=1.5),
        lambda: Jpeg(100),
        lambda: Jpeg("a"),
    ],
)
def test_values_that_make_no_sense_are_named(make) -> None:
    with pytest.raises(PerturbationError, match="accepted: a"):
        make()


def test_numbers_may_be_those_of_numpy() -> None:
    assert Shift(np.int64(2)) == Shift(2)
    assert Brightness(np.float32(0.5)) == Brightness(0.5)
    assert Noise(np.float32(0.5), np.int64(-1)) == Noise(0.5, -1)
    assert Jpeg(np.int64(50)) == Jpeg(50)
    assert repr(Shift(np.int64(2))) == "Shift(cells=2)"


def test_attention_that_the_shift_takes_out_is_an_error() -> None:
    with pytest.raises(EmptyMapError, match="where shift takes it out of the input"):
        assert_attention_stable(Bright(), spot(28, 28, 4), "shift", **HOW)


def test_attention_without_a_pattern_in_what_the_shift_leaves_is_an_error() -> None:
    image = torch.full((1, 32, 32), 0.1)
    image[:, :, 28:] = 1  # the last cells, which a shift to the right takes out
    with pytest.raises(FlatMapError, match="in what shift leaves of the input attention is the same everywhere"):
        assert_attention_stable(Bright(), image, "shift", **HOW)


def test_a_target_that_is_tied_to_a_place_cannot_be_moved() -> None:
    with pytest.raises(TargetError, match="DetectionBox is tied to a place in the image, which shift moves"):
        assert_attention_stable(Bright(), spot(), "shift", **(HOW | {"target": DetectionBox((0, 0, 4, 4), 1)}))
    with pytest.raises(OutputError):  # of a model that finds no boxes
        assert_attention_stable(Bright(), spot(), "noise", **(HOW | {"target": DetectionBox((0, 0, 4, 4), 1)}))
    assert assert_attention_stable(Bright(), spot(), "shift", **(HOW | {"target": ClassLogit(1)})).under


def test_a_photo_that_a_flip_leaves_as_it_is_is_an_error() -> None:
    even = Image.new("RGB", (32, 32), (20, 20, 20))
    even.paste((180, 180, 180), (12, 12, 20, 20))
    with pytest.raises(VacuousError, match="vacuous: flip changes nothing in PIL image"):
        assert_attention_stable(Bright(), even, ["noise", "flip"], preprocess=plain, **HOW)


def test_other_bad_input_is_named() -> None:
    with pytest.raises(LimitError, match="at_least=2 is outside the range of Pearson, -1 to 1"):
        assert_attention_stable(Bright(), spot(), at_least=2, **HOW)
    with pytest.raises(VacuousError, match="vacuous: Pearson at least -1 passes whatever the model does"):
        assert_attention_stable(Bright(), spot(), at_least=-1, **HOW)
    with pytest.raises(KeywordError, match=r"no keyword 'undr'\. Did you mean 'under'"):
        assert_attention_stable(Bright(), spot(), undr="flip", **HOW)
