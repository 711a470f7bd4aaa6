"""Holding a map to its baseline: which rule, which failure, and what is written."""

# ruff: noqa: PT012  (what happens within a soft block is what is tested)

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pytest_cam import (
    Attention,
    AttentionError,
    CollectedAttentionError,
    assert_attention_matches_baseline,
    attend,
    soft,
)
from pytest_cam.baselines.baseline import Baseline
from pytest_cam.baselines.claiming import RunningTest
from pytest_cam.baselines.comparing import figures_of, rule_for
from pytest_cam.baselines.holding import hold_to_baseline
from pytest_cam.baselines.keys import picture_of
from pytest_cam.baselines.model_identity import ModelIdentity, identity_of
from pytest_cam.errors import BaselineError, EmptyMapError, FlatMapError, KeywordError, NewerBaselineError
from pytest_cam.images.geometry import Geometry
from pytest_cam.reporting.exceptions import evidence_in
from pytest_cam.running import CLAIMING, RUNNING

ONE, OTHER, UNKNOWN = ModelIdentity("a", "w"), ModelIdentity("a", "v"), ModelIdentity(None, None)
MakeRunning = Callable[..., RunningTest]


@pytest.fixture
def _nothing_runs() -> Iterator[None]:
    outer, CLAIMING.claimant = CLAIMING.claimant, None
    yield
    CLAIMING.claimant = outer


def hold(test: RunningTest, attention: Attention, model: ModelIdentity = ONE, mode=None, name=None) -> None:
    test.begin_attempt()
    hold_to_baseline(attention, model, test, test.claim(name), mode)


def slightly_other(attention: Attention) -> Attention:
    """The same map but for one cell, which is 3 % off: too much for the same weights, little for others."""
    cam = attention.map.copy()
    cam[1, 1] *= 0.97
    return replace(attention, map=cam)


def moved(attention: Attention) -> Attention:
    return replace(attention, map=np.roll(attention.map, 3, axis=1))


@pytest.mark.parametrize(
    ("mode", "kept", "now", "expected"),
    [
        (None, ONE, ONE, ("same-weights", "the weights are the baseline's")),
        (None, ONE, ModelIdentity("b", "w"), ("same-weights", "the weights are the baseline's")),
        (None, ONE, OTHER, ("retrained", "the weights differ from the baseline's, the architecture does not")),
        (None, ONE, ModelIdentity("b", "v"), ("retrained", "weights and architecture differ from the baseline's")),
        (
            None,
            UNKNOWN,
            UNKNOWN,
            ("retrained", "the weights are not known, since this model, or the baseline's, is no module"),
        ),
        (
            None,
            ONE,
            UNKNOWN,
            ("retrained", "the weights are not known, since this model, or the baseline's, is no module"),
        ),
        (
            "same-weights",
            ONE,
            ModelIdentity("b", "v"),
            ("same-weights", "as the test asks; weights and architecture differ from the baseline's"),
        ),
        ("retrained", ONE, ONE, ("retrained", "as the test asks; the weights are the baseline's")),
    ],
)
def test_weights_choose_the_rule_unless_the_test_does(mode, kept, now, expected) -> None:
    assert rule_for(mode, kept, now) == expected


def test_same_weights_are_held_to_the_strict_rule_and_others_to_the_loose_one(running: MakeRunning, attention) -> None:
    hold(running(update="missing"), attention)
    near = slightly_other(attention)

    hold(running(), attention)
    hold(running(), near, OTHER)
    with pytest.raises(AttentionError, match=r"baseline: max difference 0.03 > 0.02 \(same-weights, gradcam, 0\)"):
        hold(running(), near)
    with pytest.raises(AttentionError, match=r"max difference 0.03 > 0.02"):
        hold(running(), near, OTHER, mode="same-weights")
    with pytest.raises(AttentionError, match=r"EMD 0.27 > 0.15; Pearson .* < 0.6 \(retrained, gradcam, 0\)"):
        hold(running(), moved(attention), OTHER)


def test_failure_shows_expected_actual_and_difference_and_says_how_to_accept(running: MakeRunning, attention) -> None:
    hold(running("test_looks[a b]", update="missing"), attention)
    with pytest.raises(AttentionError) as raised:
        hold(running("test_looks[a b]"), moved(attention))

    found = raised.value.evidence
    expected, actual, difference = found.views
    assert [view.name for view in found.views] == ["expected", "actual", "difference"]
    np.testing.assert_allclose(expected.map, attention.map, rtol=1e-3)
    np.testing.assert_array_equal(actual.map, moved(attention).map)
    red, green, blue = difference.picture[100, 290].tolist()  # in the sixth and seventh of eight columns: more now
    assert red > max(green, blue)
    red, green, blue = difference.picture[100, 60].tolist()
    assert blue > red
    text = str(raised.value)
    assert re.search(r"^  baseline +attention_baselines/test_dogs/test-looks-a-b-[0-9a-f]{8}.json$", text, re.MULTILINE)
    quote = '"' if sys.platform == "win32" else "'"
    assert f"accept its map: pytest {quote}test_dogs.py::test_looks[a b]{quote} --cam-update=changed" in text


def test_failure_says_which_run_of_the_layer_is_meant(running: MakeRunning, attention) -> None:
    twice = replace(attention, layer_call=2, layer_calls=3)
    hold(running(update="missing"), twice)
    with pytest.raises(AttentionError, match=r"\(same-weights, gradcam, 0 in run 2 of 3\)"):
        hold(running(), moved(twice))


def test_difference_of_a_few_percent_is_pale(running: MakeRunning, attention) -> None:
    hold(running(update="missing"), attention)
    with pytest.raises(AttentionError, match=r"full colour is 5% of a maximum") as raised:
        hold(running(), slightly_other(attention))
    # The cell is 3 % off, so its blue, (5, 113, 176), has three fifths, and the photo's pale grey of 255 two.
    assert raised.value.evidence.views[2].picture[60, 60].tolist() == pytest.approx([105, 170, 208], abs=4)


def test_pictures_of_a_wide_photo_are_wide(running: MakeRunning, spotlight, photo) -> None:
    wide = torch.nn.functional.pad(photo(), (0, 8))
    seen = attend(spotlight(), wide, layer="0", method="gradcam", target=1)
    test = running(update="missing")
    hold(test, seen)
    test.begin_attempt()
    with Image.open(picture_of(test.claim(None))) as kept:
        assert kept.size == (320, 160)
    with pytest.raises(AttentionError) as raised:
        hold(running(), moved(seen))
    assert [view.picture.shape for view in raised.value.evidence.views] == [(8, 16, 3), (8, 16, 3), (160, 320, 3)]


@pytest.mark.parametrize(("name", "argument"), [("test_looks", "{}"), ("test_looks[a b]", '"{}"')])
def test_command_can_be_typed_on_windows(running: MakeRunning, monkeypatch: pytest.MonkeyPatch, name, argument) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert running(name).command("missing") == f"pytest {argument.format(f'test_dogs.py::{name}')} --cam-update=missing"


def test_missing_baseline_fails_with_the_map_and_the_command(running: MakeRunning, attention) -> None:
    test = running()
    with pytest.raises(
        BaselineError, match=r"there is no baseline .*: pytest test_dogs.py::test_looks --cam-update=mi"
    ) as raised:
        hold(test, attention)
    assert raised.value.evidence.map is attention.map
    assert not test.claim("another").parent.exists()


def test_baselines_that_are_missing_damaged_or_of_something_else_fail_together(running: MakeRunning, attention) -> None:
    hold(running(update="missing"), attention, name="other")
    damaged = running().claim("damaged")
    damaged.write_text("{")
    before = RUNNING.checks
    with (
        pytest.raises(CollectedAttentionError, match=r"^3 of 3 .*: there is no baseline.*is damaged") as raised,
        soft(),
    ):
        hold(running(), attention, name="missing")
        hold(running(), attention, name="damaged")
        hold(running(), replace(attention, method="hirescam"), name="other")
    assert [type(failure) for failure in raised.value.exceptions] == [BaselineError] * 3
    assert [found.check for found in evidence_in(raised.value)] == ["attention matches baseline"] * 3
    assert RUNNING.checks == before + 3


@pytest.mark.parametrize(
    ("update", "missing", "same", "differing"),
    [
        (None, "fails", "passes", "fails"),
        ("missing", "new", "passes", "fails"),
        ("changed", "new", "passes", "changed"),
        ("all", "new", "rewritten", "changed"),
    ],
)
def test_what_each_update_writes(update, missing, same, differing, running: MakeRunning, attention) -> None:
    def outcome(seen: Attention, name: str) -> str:
        test = running(update=update)
        try:
            hold(test, seen, name=name)
        except (AttentionError, BaselineError):
            return "fails"
        return test.notes[0][1] if test.notes else "passes"

    for name in ("same", "differing"):
        hold(running(update="missing"), attention, name=name)
    # A cell that is 1 % off passes every rule, and is other digits in the file.
    near = replace(attention, map=attention.map.copy())
    near.map[1, 1] *= 0.99
    assert outcome(attention, "missing") == missing
    assert outcome(near, "same") == same
    assert outcome(moved(attention), "differing") == differing


def test_update_of_changed_accepts_what_fails_one_of_two_limits(running: MakeRunning, attention) -> None:
    hold(running(update="missing"), attention)
    test = running(update="changed")
    hold(test, slightly_other(attention))
    ((_, what, why),) = test.notes
    assert what == "changed"
    assert re.fullmatch(r"cosine (1|0\.999\d*), max difference 0\.03", why)
    hold(running(), slightly_other(attention))


@pytest.mark.parametrize("why", ["", "without a picture, since OpenCV does not import"])
def test_new_baseline_is_noted_and_has_a_picture_where_there_can_be_one(
    running: MakeRunning, attention, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why:
        monkeypatch.setitem(sys.modules, "cv2", None)
    test = running(update="missing")
    hold(test, attention)
    test.begin_attempt()
    path = test.claim(None)
    assert test.notes == [(test.shown(path), "new", why)]
    assert picture_of(path).exists() == (not why)


def test_update_of_all_says_nothing_of_what_stays_to_the_byte(running: MakeRunning, attention) -> None:
    test = running(update="all")
    hold(test, attention)
    path = test.claim("other").parent
    first = {file.name: file.read_bytes() for file in path.iterdir()}
    hold(test, attention)
    assert len(test.notes) == 1
    assert {file.name: file.read_bytes() for file in path.iterdir()} == first


@pytest.mark.parametrize("update", [None, "missing", "changed", "all"])
def test_baseline_that_is_written_is_a_check_as_one_that_is_compared(update, running: MakeRunning, attention) -> None:
    if update is None:
        hold(running(update="missing"), attention)
    before = RUNNING.checks
    with soft() as block:
        hold(running(update=update), attention)
    assert (block.checks, block.failures) == (1, ())
    assert RUNNING.checks == before + 1


@pytest.mark.parametrize("update", ["changed", "all"])
def test_update_replaces_what_is_damaged_but_not_what_is_newer(update: str, running: MakeRunning, attention) -> None:
    test = running(update=update)
    path = test.claim(None)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    hold(test, attention)
    assert test.notes[0][1] == "replaced"
    assert "is damaged: truncated, or no JSON" in test.notes[0][2]
    path.write_text('{"format": 2}')
    with pytest.raises(NewerBaselineError):
        hold(test, attention)
    assert path.read_text() == '{"format": 2}'


def test_damaged_baseline_is_not_replaced_by_an_update_of_missing_ones(running: MakeRunning, attention) -> None:
    test = running(update="missing")
    path = test.claim(None)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(BaselineError, match="is damaged"):
        hold(test, attention)


def test_map_of_zeros_is_no_baseline(running: MakeRunning, attention) -> None:
    test = running(update="all")
    with pytest.raises(EmptyMapError):
        hold(test, replace(attention, map=np.zeros_like(attention.map)))
    assert test.notes == []


def flat(attention: Attention) -> Attention:
    return replace(attention, map=np.full_like(attention.map, 0.3))


@pytest.mark.parametrize("update", [None, "missing", "changed", "all"])
@pytest.mark.parametrize(("mode", "model"), [("retrained", ONE), (None, UNKNOWN)], ids=["asked for", "unknown weights"])
def test_flat_map_is_no_baseline_where_patterns_are_compared(mode, model, update, running, attention) -> None:
    test = running(update=update)
    with pytest.raises(FlatMapError, match=r"as a baseline it would fail .* Take an image and a layer") as raised:
        hold(test, flat(attention), model, mode)
    assert raised.value.evidence.check == "attention matches baseline"
    assert test.notes == []
    assert not test.claim("another").parent.exists()


@pytest.mark.parametrize("update", ["changed", "all"])
def test_flat_map_does_not_take_the_place_of_a_pattern(update: str, running: MakeRunning, attention) -> None:
    hold(running(update="missing"), attention, UNKNOWN)
    with pytest.raises(FlatMapError, match="as a baseline it would fail"):
        hold(running(update=update), flat(attention), UNKNOWN)
    hold(running(), attention, UNKNOWN)


def test_flat_map_is_a_baseline_of_the_same_weights_and_says_so_of_others(running: MakeRunning, attention) -> None:
    hold(running(update="missing"), flat(attention))
    hold(running(), flat(attention))
    hold(running(), flat(attention), OTHER, "same-weights")
    with pytest.raises(FlatMapError, match="both maps are the same everywhere") as raised:
        hold(running(), flat(attention), OTHER)
    assert raised.value.evidence.check == "attention matches baseline"
    with pytest.raises(AttentionError, match=r"Pearson 0.00 < 0.6"):
        hold(running(), attention, OTHER)

    test = running(update="changed")
    hold(test, flat(attention), OTHER)
    assert [what for _, what, _ in test.notes] == ["changed"]
    hold(running(), flat(attention), OTHER)


def test_picture_is_written_beside_and_never_read(running: MakeRunning, attention) -> None:
    test = running(update="missing")
    hold(test, attention)
    test.begin_attempt()
    path = test.claim(None)
    picture_of(path).write_bytes(b"no picture")
    hold(running(), attention)
    assert picture_of(path).read_bytes() == b"no picture"


def test_image_in_another_precision_is_the_same_image(running: MakeRunning, spotlight, photo) -> None:
    noisy = photo() + 0.1 * torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    how = {"layer": "0", "method": "gradcam", "target": 1}
    hold(running(update="missing"), attend(spotlight(), noisy, **how))
    hold(running(), attend(spotlight().bfloat16(), noisy.bfloat16(), **how), mode="same-weights")
    with pytest.raises(BaselineError, match=r"image: values from 0.* to 1.* in the baseline, from 0.* to 2.* now"):
        hold(running(), attend(spotlight(), 2 * noisy, **how))


def test_claims(running: MakeRunning) -> None:
    first, second = running("test_a"), running("test_b")
    path = first.claim("dog")
    with pytest.raises(BaselineError, match=r"compares with one baseline twice .with the name 'dog'.*another name="):
        first.claim("dog")
    with pytest.raises(
        BaselineError, match=r"two tests claim the baseline attention_baselines/test_dogs/dog-.*test_a and"
    ):
        second.claim("dog")
    first.begin_attempt()
    assert first.claim("dog") == path
    assert first.claim(None) != second.claim(None)


def test_variant_that_cannot_be_in_a_file_name(running: MakeRunning) -> None:
    with pytest.raises(BaselineError, match="pytest_cam_baseline_variant returned 'a/b'; accepted: None, or up to 60"):
        running(variant="a/b").claim(None)


def test_module_outside_of_the_root(running: MakeRunning, tmp_path) -> None:
    with pytest.raises(BaselineError, match=r"outside of the project's root .*elsewhere; accepted: a directory below"):
        running(root=tmp_path / "elsewhere").claim(None)


@pytest.mark.usefixtures("_nothing_runs")
def test_outside_of_a_test_there_is_no_baseline(spotlight, photo) -> None:
    with pytest.raises(BaselineError, match=r"was called outside of a test.*Attention.compare\(other\)"):
        assert_attention_matches_baseline(spotlight(), photo())


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ({"mode": "same"}, "there is no mode 'same'. Accepted: 'same-weights', 'retrained'"),
        ({"name": ""}, "name is ''; accepted: a text"),
        ({"name": 3}, "name is 3; accepted: a text"),
        ({"metod": "gradcam"}, "no keyword 'metod'. Did you mean '"),
    ],
)
def test_wrong_keywords(how, complaint: str, spotlight, photo) -> None:
    with pytest.raises(KeywordError, match=complaint):
        assert_attention_matches_baseline(spotlight(), photo(), **how)


def test_model_that_is_no_module(running: MakeRunning, spotlight: Callable[[], nn.Module], photo) -> None:
    model = spotlight()
    seen = attend(lambda batch: model(batch), photo(), method="occlusion", method_options={"window": 4}, target=1)
    hold(running(update="missing"), seen, identity_of(lambda batch: batch))
    with pytest.raises(AttentionError, match=r"\(retrained, occlusion, "):
        hold(running(), moved(seen), identity_of(lambda batch: batch))


def test_emd_is_of_the_photo_whatever_the_shape_of_the_input(attention: Attention, baseline: Baseline) -> None:
    """As two models' maps are held to it: a wide photo that is squashed to a square is wide all the same."""
    wide = replace(attention, geometry=Geometry((1200, 150), (8, 8), ((8 / 1200, 0, 0), (0, 8 / 150, 0))))
    found = {figure.name: figure.value for figure in figures_of(baseline, moved(wide), "retrained")}
    # Three of eight columns, of a diagonal of 1209 pixels.
    assert found["EMD"] == pytest.approx(3 / 8 * 1200 / math.hypot(1200, 150), rel=1e-3)
    assert found["EMD"] == pytest.approx(wide.compare(moved(wide)).emd, rel=1e-3)
