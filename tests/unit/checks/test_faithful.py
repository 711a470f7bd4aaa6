"""A map's ranking of pixels against random ones."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pytest_cam import AttentionError, ClassLogit, assert_attention_faithful
from pytest_cam.errors import EmptyMapError, FlatMapError, KeywordError, LimitError, NonFiniteError, NotAffineError
from pytest_cam.images.filling import blurred

WAYS = ["deletion", "insertion", "road"]


class Mean(nn.Module):
    """Passes the image through layer "same", and has the logits -9 m + 1 and 9 m - 1, m being the image's mean."""

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.same = nn.Conv2d(1, 1, 1, bias=False)
        self.same.weight.data.fill_(sign)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        mean = self.same(inputs).mean(dim=(1, 2, 3))
        return torch.stack([1 - 9 * mean, 9 * mean - 1], dim=1)


@pytest.fixture
def spot() -> torch.Tensor:
    image = torch.zeros(1, 16, 16)
    image[:, 2:8, 2:8] = 1.0
    return image


@pytest.mark.parametrize("by", WAYS)
def test_map_that_ranks_by_what_the_score_reads_beats_all_random_ones(spot, by):
    # At this layer the map of "gradcam" is the image: the lit pixels come first.
    found = assert_attention_faithful(Mean(), spot, by=by, layer="same", method="gradcam", target=1)

    assert found.beaten == 1.0
    assert len(found.random_areas) == 19
    assert found.score == "probability of class 1"
    assert found.lower_is_better == (by != "insertion")
    ends = [share for share in found.shares if share in (0, 1)]
    assert ends == ([0.0] if by == "road" else [0.0, 1.0])


def test_curve_is_that_of_a_calculation_by_hand(spot):
    found = assert_attention_faithful(Mean(), spot, by="deletion", steps=2, layer="same", method="gradcam", target=1)

    mean = 36 / 256
    # With half of the pixels replaced by the mean all 36 lit ones are, and 92 dark ones.
    means = np.array([mean, 128 * mean / 256, mean])
    np.testing.assert_allclose(found.curve, 1 / (1 + np.exp(-2 * (9 * means - 1))), rtol=1e-5)
    np.testing.assert_allclose(found.area, (found.curve[0] + found.curve[1]) / 2, rtol=1e-5)


@pytest.mark.parametrize("by", WAYS)
def test_map_that_ranks_the_other_way_round_fails(spot, by):
    # What the layer passes on is bright where the image is dark, and hardly any of the score comes through it.
    class DarkMap(nn.Module):
        def __init__(self):
            super().__init__()
            self.same = nn.Conv2d(1, 1, 1)
            self.same.weight.data.fill_(-1.0)
            self.same.bias.data.fill_(1.0)

        def forward(self, inputs):
            cells = self.same(inputs)  # 1 where it is dark, 0 where it is lit
            score = 2 * (1 - cells.detach()).mean(dim=(1, 2, 3)) * 9 + 1e-6 * cells.mean(dim=(1, 2, 3))
            return torch.stack([torch.zeros_like(score), score - 1], dim=1)

    with pytest.raises(AttentionError) as raised:
        assert_attention_faithful(DarkMap(), spot, by=by, layer="same", method="gradcam", target=1)
    text = str(raised.value)
    assert text.startswith(f"attention faithful: random rankings beaten 0.00 < 1 ({by}, gradcam, same)")
    assert "0 of 19 random maps on the same 16 x 16 cells do worse" in text
    assert "this says nothing of the model" in text
    area, better, lowest, highest = re.search(
        r"area +([\d.]+); mean of the probability of class 1; (\w+) is better; random ([\d.]+) to ([\d.]+)\n", text
    ).groups()
    assert float(lowest) < float(highest)
    assert better == ("higher" if by == "insertion" else "lower")
    assert float(area) < float(lowest) if by == "insertion" else float(area) > float(highest)
    # As it is the mean is 36 / 256, and the probability sigmoid(18 * 36 / 256 - 1).
    assert re.search(r"explained +class 1, probability 0\.82, predicted\n +curve +0%: ", text)
    shares = [int(share) for share in re.findall(r"(\d+)%: [\d.]+ \(random", text)]
    assert shares == (list(range(0, 100, 10)) if by == "road" else list(range(0, 101, 20)))
    assert [view.name for view in raised.value.evidence.views] == ["map", "half"]


def test_failure_says_which_run_of_the_layer_is_meant(spot):
    class Twice(Mean):
        def forward(self, inputs):
            return super().forward(self.same(inputs))

    with pytest.raises(AttentionError, match=r"\(insertion, random, same in run 1 of 2\)"):
        assert_attention_faithful(Twice(), spot, layer="same", layer_call=1, method="random")


def test_random_map_passes_no_more_often_than_by_chance(spot):
    model, passed, failures = Mean(), 0, []
    for seed in range(40):
        found = {"layer": "same", "method": "random", "seed": seed, "rankings": 4, "steps": 4}
        try:
            assert_attention_faithful(model, spot, **found)
        except AttentionError as failure:
            failures.append(failure)
            continue
        passed += 1
    assert passed <= 14  # one in five is 8; more than 14 of 40 has a chance of one in a hundred
    assert {failure.evidence.figures[0].value for failure in failures} == {0, 0.25, 0.5, 0.75}
    for failure in failures:
        beaten = int(4 * failure.evidence.figures[0].value)
        assert f"; {beaten} of 4 random maps on the same 16 x 16 cells do worse\n" in str(failure)


def test_same_seed_gives_the_same_curves(spot):
    three = np.int64(3)
    given = {"layer": "same", "method": "gradcam", "target": 1, "steps": three, "rankings": three, "by": "road"}
    first, second, *others = (
        assert_attention_faithful(Mean(), spot, **given, seed=seed) for seed in (-128, np.int8(-128), 8, 128)
    )
    np.testing.assert_array_equal(first.random_curves, second.random_curves)
    assert all((first.random_curves != other.random_curves).any() for other in others)


@pytest.mark.parametrize("target", [lambda row: row[1], ClassLogit(1, multi_label=True)])
def test_score_that_is_no_probability_is_taken_as_it_is(spot, target):
    found = assert_attention_faithful(Mean(), spot, layer="same", method="gradcam", target=target)
    assert found.beaten == 1.0
    assert found.curve[-1] == pytest.approx(9 * 36 / 256 - 1, abs=1e-5)


class Probabilities(Mean):
    def forward(self, inputs):
        return super().forward(inputs).softmax(dim=1)


# Of a spot of 3 x 3 pixels, which leaves the cat predicted.
LOGIT = 9 * 9 / 256 - 1
SOFTMAX = 1 / (1 + np.exp(-2 * LOGIT))


@pytest.mark.parametrize(
    ("model", "target", "name", "score"),
    [
        (Mean(), "dog", "probability of dog", SOFTMAX),
        (Mean(), ClassLogit("dog", multi_label=True), "score of dog", LOGIT),
        (Mean(), torch.amin, "amin", LOGIT),
        (Probabilities(), "dog", "score of dog", SOFTMAX),  # of which no softmax is taken again
    ],
    ids=["class", "label", "function", "probability already"],
)
@pytest.mark.filterwarnings("ignore::pytest_cam.ProbabilityWarning")
def test_curves_are_of_what_is_explained_and_called_after_it(spot, model, target, name, score):
    small = spot * (torch.arange(16) < 5) * (torch.arange(16) < 5)[:, None]
    given = {"layer": "same", "method": "gradcam", "class_names": ["cat", "dog"]}
    found = assert_attention_faithful(model, small, target=target, **given)
    assert found.score == name
    assert found.curve[-1] == pytest.approx(score, abs=1e-5)


class Seen(nn.Module):
    """Keeps all that it is given; the score is the mean."""

    def __init__(self):
        super().__init__()
        self.same, self.inputs = nn.Identity(), []

    def forward(self, inputs):
        self.inputs += list(inputs.detach().clone())
        mean = self.same(inputs).mean(dim=(1, 2, 3))
        return torch.stack([-mean, mean], dim=1)


def test_deleted_is_the_mean_of_each_channel_and_not_put_in_yet_is_the_blurred_input(spot):
    image = torch.cat([spot, 3 * spot])
    stand_ins = {
        "deletion": image.mean(dim=(1, 2), keepdim=True).expand_as(image),
        "insertion": torch.from_numpy(blurred(image.permute(1, 2, 0).contiguous().numpy())).permute(2, 0, 1),
    }
    for by, expected in stand_ins.items():
        model = Seen()
        found = assert_attention_faithful(model, image, by=by, layer="same", method="gradcam", target=1)
        assert len(found.shares) == 11  # in ten steps
        assert any(torch.allclose(each, expected, atol=1e-6) for each in model.inputs)


def test_image_that_the_preprocess_turns_may_be_asked_in_the_pixels_of_the_input():
    def turned(picture):
        return torch.from_numpy(np.array(picture.rotate(10), dtype=np.float32) / 255)[None]

    picture = Image.new("L", (16, 16))
    picture.paste(255, (4, 4, 8, 8))
    given = {"preprocess": lambda rgb: turned(rgb.convert("L")), "layer": "same", "method": "gradcam", "target": 1}
    with pytest.raises(NotAffineError):
        assert_attention_faithful(Mean(), picture, **given)
    assert assert_attention_faithful(Mean(), picture, frame="input", **given).beaten == 1.0


def test_score_that_never_changes_has_no_order(spot):
    class Constant(Mean):
        def forward(self, inputs):
            cells = self.same(inputs)
            score = (cells - cells.detach()).mean(dim=(1, 2, 3))
            return torch.stack([torch.zeros_like(score), score], dim=1)

    with pytest.raises(AttentionError, match="try: the score is the same whatever is replaced"):
        assert_attention_faithful(Constant(), spot, layer="same", method="gradcam", target=1)


@pytest.mark.parametrize("by", WAYS)
def test_map_that_is_the_same_everywhere_has_no_order(spot, by):
    class Pooled(Mean):
        def forward(self, inputs):
            rough = inputs.diff(dim=-1).abs().mean(dim=(1, 2, 3), keepdim=True)
            return super().forward(rough.expand_as(inputs))

    stripes = torch.arange(16).remainder(2).float().expand(1, 16, 16)
    with pytest.raises(FlatMapError, match="the map is the same everywhere at same"):
        assert_attention_faithful(Pooled(), stripes, by=by, layer="same", method="gradcam", target=1)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"by": "deletions"}, KeywordError, r"by is 'deletions'.*Did you mean 'deletion'"),
        ({"steps": 1}, KeywordError, "steps is 1; accepted: a whole number from 2"),
        ({"steps": 2.5}, KeywordError, "steps is 2.5; accepted: a whole number from 2"),
        ({"rankings": 0}, KeywordError, "rankings is 0; accepted: a whole number from 1"),
        ({"rankings": True}, KeywordError, "rankings is True"),
        ({"at_least": 0}, LimitError, "at_least is 0"),
        ({"at_least": 1.1}, LimitError, "at_least is 1.1"),
        ({"fill": "blur"}, KeywordError, "no keyword 'fill'"),
        ({"ranking": 3}, KeywordError, "no keyword 'ranking'. Did you mean 'rankings'"),
        ({"target": 0}, EmptyMapError, "no positive evidence for target 0"),
    ],
)
def test_bad_question_is_its_own_error(spot, given, error, text):
    with pytest.raises(error, match=text):
        assert_attention_faithful(Mean(), spot, **({"layer": "same", "method": "gradcam", "target": 1} | given))


def test_score_of_a_version_that_is_not_finite_is_an_error(spot):
    class Breaks(Mean):
        def forward(self, inputs):
            return super().forward(inputs) / (inputs.amax(dim=(1, 2, 3)) >= 0.99).float()[:, None]

    with pytest.raises(NonFiniteError, match="of inputs of deletion"):
        assert_attention_faithful(Breaks(), spot, by="deletion", layer="same", method="gradcam", target=1)
