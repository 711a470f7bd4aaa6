"""The maps of different classes must differ, on networks whose map of a class is known."""

import re

import pytest
import torch
from PIL import Image
from torch import nn

from pytest_cam import AttentionError, Box, assert_attention_class_discriminative
from pytest_cam.errors import (
    EmptyMapError,
    KeywordError,
    LimitError,
    MethodError,
    RegionError,
    TargetError,
    UnattainableError,
    VacuousError,
)

NAMES = ["cat", "dog", "bird"]
GREY = torch.ones(1, 8, 8)
HOW = {"layer": "look", "method": "gradcam", "class_names": NAMES}


class Weighted(nn.Module):
    """Channel k of layer `look` is the image times the weights k, class k is its mean: the map of class k is it."""

    def __init__(self, *columns: tuple[int, int]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(len(columns), 8, 8))
        for weights, (start, stop) in zip(self.weights.data, columns, strict=True):
            weights[:, start:stop] = 1.0
        self.look = nn.Identity()
        self.passes = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return self.look(image * self.weights).mean(dim=(2, 3))


def model() -> Weighted:
    """The cat's map is the left three columns, the dog's the right three, the bird's six from the left."""
    return Weighted((0, 3), (5, 8), (0, 6))


LEFT, RIGHT = (0, 0, 3, 8), (5, 0, 8, 8)


def test_maps_that_differ_pass_in_one_forward_pass() -> None:
    network = model()
    cat, dog = assert_attention_class_discriminative(network, GREY, ["cat", "dog"], **HOW)
    assert (cat.target, dog.target) == (0, 1)
    assert network.passes == 1


def test_maps_alike_fail_and_the_figure_says_which_pair() -> None:
    # Three of six columns in common: 3 / sqrt(3 * 6) = 0.707; the dog's has one of six: 1 / sqrt(3 * 6) = 0.236.
    assert_attention_class_discriminative(model(), GREY, ["cat", "dog", "bird"], **HOW)
    with pytest.raises(AttentionError) as raised:
        assert_attention_class_discriminative(model(), GREY, ["cat", "dog", "bird"], at_most=0.7, **HOW)
    text = str(raised.value)
    assert text.startswith("attention class-discriminative: cosine of cat and bird 0.71 > 0.7 (gradcam, look)")
    assert "try: of an image that shows one object" in text
    values = [figure.value for figure in raised.value.evidence.figures]
    assert values == pytest.approx([0.0, 0.7071, 0.2357], abs=1e-3)
    assert [view.title for view in raised.value.evidence.views] == ["cat", "dog", "bird"]


def test_functions_of_one_name_are_told_apart_by_their_number() -> None:
    targets = [lambda scores: scores[0], lambda scores: scores[2]]
    with pytest.raises(AttentionError, match=r"cosine of <lambda> \(1\) and <lambda> \(2\) 0\.71 > 0\.7"):
        assert_attention_class_discriminative(model(), GREY, targets, at_most=0.7, **HOW)


def test_a_failure_of_the_default_method_says_what_it_explained_and_names_a_sharper_one() -> None:
    how = {name: value for name, value in HOW.items() if name != "method"}
    texts = []
    for given in (how, HOW):
        with pytest.raises(AttentionError) as raised:
            assert_attention_class_discriminative(model(), GREY, ["cat", "bird"], at_most=0.7, **given)
        texts.append(str(raised.value))
    assert texts[0].startswith("attention class-discriminative: cosine of cat and bird 0.71 > 0.7 (gradcam++, look)")
    # The logits are the means 3 / 8, 3 / 8 and 6 / 8: exp(0.375) / (2 exp(0.375) + exp(0.75)) = 0.29.
    assert re.search(r'cat +class 0 "cat", probability 0\.29; the model predicts bird\n', texts[0])
    assert re.search(r'bird +class 2 "bird", probability 0\.42, predicted\n', texts[0])
    assert ["method='gradcam' tells classes apart better" in text for text in texts] == [True, False]


def test_a_class_without_evidence_is_an_error_that_names_it() -> None:
    with pytest.raises(EmptyMapError, match=r"no positive evidence for target 1 at look \(gradcam\)"):
        assert_attention_class_discriminative(Weighted((0, 3), (0, 0), (0, 6)), GREY, ["cat", "dog"], **HOW)


def test_each_map_in_its_own_region_passes() -> None:
    assert_attention_class_discriminative(model(), GREY, ["cat", "dog"], [LEFT, Box(*RIGHT)], **HOW)


def test_each_map_has_a_skill_of_a_quarter_in_its_own_region_by_default() -> None:
    # Of the bird's six columns 4 lie in a box of 4 of all 8: (4/6 - 4/8) / (1 - 4/8) = 0.33.
    assert_attention_class_discriminative(model(), GREY, ["bird", "dog"], [(0, 0, 4, 8), RIGHT], **HOW)
    # And 3 in a box of 3: (3/6 - 3/8) / (1 - 3/8) = 0.2.
    with pytest.raises(AttentionError, match=r"^[\w -]+: skill of bird 0\.20 < 0\.25 \(gradcam, look\)") as raised:
        assert_attention_class_discriminative(model(), GREY, ["bird", "dog"], [(0, 0, 3, 8), RIGHT], **HOW)
    assert "compare the order of targets and regions" not in str(raised.value)  # no map lies in another's
    assert raised.value.evidence.regions == (Box(0, 0, 3, 8), Box(*RIGHT))


def test_regions_the_wrong_way_round_fail_by_skill_and_lead() -> None:
    with pytest.raises(AttentionError) as raised:
        assert_attention_class_discriminative(model(), GREY, ["cat", "dog"], [RIGHT, LEFT], **HOW)
    figures = {figure.name: figure for figure in raised.value.evidence.figures}
    # All energy in the other's region: chance is 3 / 8, the ceiling 1.
    assert figures["skill of cat"].value == pytest.approx(-0.6)
    assert figures["lead of cat over dog"].value == pytest.approx(-1.0)
    assert figures["lead of cat over dog"].limits.source == "the check itself"
    assert str(figures["cosine of cat and dog"].limits) == ""
    assert "try: every map lies in another's region: compare the order of targets and regions" in str(raised.value)
    assert str(raised.value).count("┏") == 2  # each of the two sketches outlines its own region, not the other's


def test_regions_may_be_in_the_pixels_of_the_input() -> None:
    def turned(picture: Image.Image) -> torch.Tensor:
        return GREY * picture.rotate(10).getpixel((4, 4))[0] / 255

    grey = Image.new("RGB", (8, 8), (255, 255, 255))
    how = HOW | {"preprocess": turned, "frame": "input"}
    assert_attention_class_discriminative(model(), grey, ["cat", "dog"], [LEFT, RIGHT], **how)
    with pytest.raises(AttentionError, match=r"skill of cat -0\.60 < 0\.25"):
        assert_attention_class_discriminative(model(), grey, ["cat", "dog"], [RIGHT, LEFT], **how)


def test_a_map_in_its_own_region_may_not_be_more_in_the_others() -> None:
    # The bird's six columns: two thirds of them in 0..4, half in 2..5 and chance three eighths.
    how = HOW | {"at_least": 0.1}
    with pytest.raises(AttentionError, match=r"lead of bird over cat -0\.17 < 0\.01") as raised:
        assert_attention_class_discriminative(model(), GREY, ["bird", "cat"], [(2, 0, 5, 8), (0, 0, 4, 8)], **how)
    assert "compare the order of targets and regions" not in str(raised.value)  # the cat's leads


def test_regions_widened_by_cells_are_those_of_the_photo() -> None:
    def halved(picture: Image.Image) -> torch.Tensor:
        return GREY * picture.resize((8, 8)).getpixel((0, 0))[0] / 255

    def geometry(size: tuple[int, int]) -> list[list[float]]:
        return [[0.5, 0, 0], [0, 0.5, 0]]

    halved.cam_geometry = geometry
    # One cell is 2 of the photo's 16 pixels: the boxes are its halves.
    regions = [Box(0, 0, 6, 16).dilate(), Box(10, 0, 16, 16).dilate()]
    photo = Image.new("RGB", (16, 16), (255, 255, 255))
    with pytest.raises(AttentionError) as raised:
        assert_attention_class_discriminative(model(), photo, ["dog", "cat"], regions, preprocess=halved, **HOW)
    leads = [figure.value for figure in raised.value.evidence.figures if figure.name.startswith("lead")]
    assert leads == pytest.approx([-1, -1])
    assert_attention_class_discriminative(model(), photo, ["cat", "dog"], regions, preprocess=halved, **HOW)


def test_one_map_for_both_classes_leads_in_neither_region() -> None:
    same = Weighted((0, 8), (0, 8), (0, 1))
    # Both maps lie as chance has it: in neither region is there less than that, nor more than in the other.
    with pytest.raises(AttentionError, match=r"lead of cat over dog 0\.00 < 0\.01; lead of dog over cat 0\.00 < 0\.01"):
        assert_attention_class_discriminative(same, GREY, ["cat", "dog"], [LEFT, RIGHT], **HOW, at_least=-0.1)


def test_the_cosine_is_held_beside_regions_where_it_is_asked_for() -> None:
    regions = [(0, 0, 3, 8), (3, 0, 6, 8)]
    how = HOW | {"at_least": 0.1, "at_most": 0.5}
    with pytest.raises(AttentionError, match=r"cosine of cat and bird 0\.71 > 0\.5"):
        assert_attention_class_discriminative(model(), GREY, ["cat", "bird"], regions, **how)


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        (["cat"], "targets is 1 of them; accepted: a list of two or more"),
        ("cat", "targets is 'cat'; accepted"),
        (["cat", 0], "'cat' and 0 are one and the same: cat, class 0"),
        ([None, "bird"], r"None \(the predicted class\) and 'bird' are one and the same: bird"),
        ([torch.sum, torch.sum], "are one and the same: sum; accepted"),
        (["cat", "dig"], "'dog'"),
    ],
)
def test_targets_that_cannot_differ_are_named(targets, names) -> None:
    with pytest.raises(TargetError, match=names):
        assert_attention_class_discriminative(model(), GREY, targets, **HOW)


@pytest.mark.parametrize(
    ("given", "error", "names"),
    [
        ({"regions": [LEFT]}, RegionError, "regions is 1 for 2 targets; accepted: a list with one for each"),
        ({"regions": Box(*LEFT)}, RegionError, "for 2 targets"),
        ({"regions": [(0, 0, 8, 8), RIGHT]}, VacuousError, "covers 100%"),
        ({"regions": [LEFT, LEFT]}, UnattainableError, "cat than in that of dog"),
        ({"regions": [LEFT, RIGHT], "at_least": -0.6}, VacuousError, "skill at least -0.6 passes whatever"),
        ({"regions": [LEFT, RIGHT], "at_least": 1.1}, LimitError, "at_least=1.1 is outside the range of skill"),
        ({"at_least": 0.5}, LimitError, "give regions="),
        ({"at_most": 1.5}, LimitError, "at_most=1.5 is outside the range of the cosine, 0 to 1"),
        ({"at_most": 1}, VacuousError, "vacuous: the cosine at most 1 passes whatever"),
        ({"target": 1}, TargetError, "beside targets="),
        ({"method": "eigencam"}, MethodError, "eigencam has the same map for every target"),
        ({"regons": [LEFT, RIGHT]}, KeywordError, "Did you mean 'regions'"),
    ],
)
def test_what_makes_no_sense_is_named(given, error, names) -> None:
    with pytest.raises(error, match=names):
        assert_attention_class_discriminative(model(), GREY, ["cat", "dog"], **(HOW | given))
