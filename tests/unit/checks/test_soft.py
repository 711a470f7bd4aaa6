"""Failures of several checks are raised together, and none is lost whatever else happens in the block."""

# ruff: noqa: PT012  (what happens within a soft block is what is tested)

from __future__ import annotations

import contextlib
import math
import pickle
import unittest

import pytest
import torch
from torch import nn

from pytest_cam import (
    Attention,
    AttentionError,
    CollectedAttentionError,
    EmptyMapError,
    FlatMapError,
    RegionError,
    VacuousError,
    assert_attention_agrees,
    assert_attention_class_discriminative,
    assert_attention_depends_on_weights,
    assert_attention_faithful,
    assert_attention_in_region,
    assert_attention_not_in_region,
    assert_attention_stable,
    attend,
    soft,
)
from pytest_cam.reporting.exceptions import evidence_in
from pytest_cam.running import RUNNING

LIT, DARK = (1, 1, 5, 5), (5, 5, 8, 8)
PHOTO = torch.zeros(1, 8, 8)
PHOTO[:, 1:5, 1:5] = 1.0
MODEL = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.fixture
def attention() -> Attention:
    return attend(MODEL, PHOTO, layer="0", method="gradcam")


def texts(error: BaseException | None) -> list[str]:
    return [] if error is None else [found.check for found in evidence_in(error)]


def test_all_checks_run_and_their_failures_come_together(attention) -> None:
    with pytest.raises(CollectedAttentionError) as raised, soft() as block:
        attention.assert_in_region(DARK)
        attention.assert_in_region(LIT)
        assert_attention_not_in_region(MODEL, PHOTO, LIT, "0", "gradcam")

    head, *rest = str(raised.value).splitlines()
    assert head == (
        "2 of 3 attention checks failed: attention in box: skill -0.16 < 0.25 (gradcam, 0); "
        "attention not in box: lift 1.78 > 1 (gradcam, 0)"
    )
    assert str(raised.value).count("fuller is stronger") == 2
    assert [line.partition(": ")[2] for line in rest if line.startswith("(")] == head.partition(": ")[2].split("; ")
    assert raised.value.exceptions == block.failures
    assert texts(raised.value) == ["attention in box", "attention not in box"]
    assert block.checks == 3


def test_failures_come_together_where_the_working_directory_is_gone(attention, tmp_path, monkeypatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with pytest.raises(CollectedAttentionError), soft():
        attention.assert_in_region(DARK)
        attention.assert_not_in_region(LIT)


def test_failures_come_out_of_another_process_with_all_that_they_carry(attention) -> None:
    with pytest.raises(CollectedAttentionError) as raised, soft():
        attention.assert_in_region(DARK)
        attention.assert_not_in_region(LIT)

    found = pickle.loads(pickle.dumps(raised.value))

    assert str(found) == str(raised.value)
    assert list(map(str, found.exceptions)) == list(map(str, raised.value.exceptions))
    assert texts(found) == ["attention in box", "attention not in box"]


def test_each_failure_says_where_it_was_asked_for(attention) -> None:
    with pytest.raises(CollectedAttentionError) as raised, soft():
        attention.assert_in_region(DARK)
        assert_attention_in_region(MODEL, PHOTO, DARK, "0")

    lines = [failure.__traceback__.tb_lineno for failure in raised.value.exceptions]
    assert lines[1] == lines[0] + 1
    assert all(f"test_soft.py:{line}: attention in box" in str(raised.value) for line in lines)


def test_one_failure_is_raised_as_itself_at_its_own_line(attention) -> None:
    with pytest.raises(AttentionError) as raised, soft() as block:
        attention.assert_in_region(LIT)
        attention.assert_in_region(DARK)
    assert type(raised.value) is AttentionError
    assert raised.value is block.failures[0]
    assert str(raised.traceback[-1].statement).strip() == "attention.assert_in_region(DARK)"


def test_block_without_a_failure_passes(attention) -> None:
    with soft() as block:
        attention.assert_in_region(LIT)
    assert (block.checks, block.failures) == (1, ())


def test_block_without_a_check_is_vacuous(attention) -> None:
    with pytest.raises(VacuousError, match="no attention check ran in this soft block"), soft():
        attention.skill_in(LIT)


def test_after_the_block_checks_raise_again(attention) -> None:
    with soft():
        attention.assert_in_region(LIT)
    with pytest.raises(AttentionError):
        attention.assert_in_region(DARK)


@pytest.mark.parametrize("times", [1, 2])
def test_question_without_sense_is_raised_at_once_and_carries_the_failures(attention, times) -> None:
    with pytest.raises(RegionError, match="outside") as raised, soft():
        for _ in range(times):
            attention.assert_in_region(DARK)
        attention.assert_in_region((50, 50, 60, 60))
    assert isinstance(raised.value.__context__, CollectedAttentionError if times == 2 else AttentionError)
    assert texts(raised.value) == ["attention in box"] * times


def looking() -> nn.Module:
    """Two classes, whose scores are the mean of the image and its negative: of a dark image every map is empty."""
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    for parameter, value in zip(model.parameters(), (1.0, [[-1.0], [1.0]], 0.0), strict=True):
        parameter.data.copy_(torch.tensor(value))
    return model


HOW = {"layer": "0", "method": "gradcam", "target": 1}
DARK_PHOTO = 0 * PHOTO
ON_AN_EMPTY_MAP = {
    "in region": lambda: assert_attention_in_region(looking(), DARK_PHOTO, LIT, **HOW).peak,
    "not in region": lambda: assert_attention_not_in_region(looking(), DARK_PHOTO, LIT, **HOW).peak,
    "agrees": lambda: assert_attention_agrees(looking(), looking(), DARK_PHOTO, **HOW).pearson,
    "two of an image": lambda: (
        attend(looking(), DARK_PHOTO, **HOW).assert_agrees(attend(looking(), DARK_PHOTO, **HOW)).emd
    ),
    "class-discriminative": lambda: assert_attention_class_discriminative(
        looking(), DARK_PHOTO, [0, 1], layer="0", method="gradcam"
    ),
    "stable": lambda: assert_attention_stable(looking(), DARK_PHOTO, "brightness", **HOW).under,
    "faithful": lambda: assert_attention_faithful(looking(), DARK_PHOTO, **HOW).area,
    "depends on weights": lambda: assert_attention_depends_on_weights(looking(), DARK_PHOTO, **HOW).pearson,
}


@pytest.mark.parametrize("verb", ON_AN_EMPTY_MAP.values(), ids=ON_AN_EMPTY_MAP)
def test_empty_map_is_a_failure_among_others_of_every_verb(verb, attention) -> None:
    found = None
    head = r"^2 of 2 .*zero everywhere.*; attention in box"
    with pytest.raises(CollectedAttentionError, match=head) as raised, soft() as block:
        with contextlib.suppress(EmptyMapError):  # what it would have measured says so, too
            found = verb()
        attention.assert_in_region(DARK)
    assert [type(failure) for failure in block.failures] == [EmptyMapError, AttentionError]
    assert texts(raised.value) == ["attention", "attention in box"]
    assert isinstance(found, (type(None), tuple, list)) or math.isnan(found)
    with pytest.raises(EmptyMapError):
        verb()


ON_A_FLAT_MAP = {
    "agrees": lambda: assert_attention_agrees(looking(), looking(), PHOTO * 0 + 1, **HOW),
    "stable": lambda: assert_attention_stable(looking(), PHOTO * 0 + 1, "brightness", **HOW),
    "depends on weights": lambda: assert_attention_depends_on_weights(looking(), PHOTO * 0 + 1, **HOW),
}


@pytest.mark.parametrize("verb", ON_A_FLAT_MAP.values(), ids=ON_A_FLAT_MAP)
def test_map_without_a_pattern_is_a_failure_of_verbs_that_correlate(verb, attention) -> None:
    with pytest.raises(FlatMapError, match=r"same everywhere.* Take an image and a layer"):
        verb()
    with (
        pytest.raises(CollectedAttentionError, match=r"2 of 2 .* same everywhere.*; attention in box") as raised,
        soft(),
    ):
        verb()
        attention.assert_in_region(DARK)
    assert texts(raised.value) == ["attention", "attention in box"]


def test_check_that_finds_nothing_to_measure_counts_as_one(attention) -> None:
    before = RUNNING.checks
    with pytest.raises(EmptyMapError):
        assert_attention_in_region(MODEL, DARK_PHOTO, LIT, "0")
    with pytest.raises(EmptyMapError):
        attend(MODEL, DARK_PHOTO, layer="0").skill_in(LIT)  # no check
    attention.assert_in_region(LIT)
    assert RUNNING.checks == before + 2


def test_error_of_the_user_stays_what_it_is(attention) -> None:
    with pytest.raises(ZeroDivisionError) as raised, soft():
        attention.assert_in_region(DARK)
        1 / 0  # noqa: B018  (an error)
    assert texts(raised.value) == ["attention in box"]


def test_chain_of_the_users_error_is_kept(attention) -> None:
    cause = KeyError("cause")
    with pytest.raises(ValueError, match="of the user") as raised, soft() as block:
        attention.assert_in_region(DARK)
        raise ValueError("of the user") from cause
    assert raised.value.__cause__ is cause
    assert cause.__context__ is block.failures[0]  # a traceback shows no context beside a cause
    assert texts(raised.value) == ["attention in box"]


@pytest.mark.parametrize("hides", [False, True])
def test_failure_stands_behind_what_a_traceback_shows_of_the_users_chain(attention, hides: bool) -> None:
    handled = KeyError("handled")
    with pytest.raises(ValueError, match="of the user") as raised, soft() as block:
        attention.assert_in_region(DARK)
        try:
            raise handled
        except KeyError:
            error = ValueError("of the user")
            error.__suppress_context__ = hides
            raise error  # noqa: B904  (as `from None` does, or not)
    assert (raised.value if hides else handled).__context__ is block.failures[0]
    assert raised.value.__context__ is (block.failures[0] if hides else handled)


def test_error_that_hides_its_context_carries_the_failures_all_the_same(attention) -> None:
    with pytest.raises(ValueError, match="of the user") as raised, soft():
        attention.assert_in_region(DARK)
        raise ValueError("of the user") from None
    assert texts(raised.value) == ["attention in box"]


def test_error_that_came_from_a_failure_of_the_block_makes_no_circle(attention) -> None:
    with pytest.raises(ValueError, match="of the user") as raised, soft() as block:
        attention.assert_in_region(DARK)
        raise ValueError("of the user") from block.failures[0]
    assert block.failures[0].__context__ is None
    assert texts(raised.value) == ["attention in box"]


@pytest.mark.parametrize("skip", [pytest.skip.Exception("no"), unittest.SkipTest("no")], ids=["pytest", "unittest"])
def test_skip_after_a_failure_skips_nothing(attention, skip) -> None:
    # Either is caught, since a skip that got out would skip this test.
    with pytest.raises((AttentionError, type(skip))) as raised, soft():
        attention.assert_in_region(DARK)
        raise skip
    assert isinstance(raised.value, AttentionError)
    assert raised.value.__context__ is skip


def test_skip_without_a_failure_skips() -> None:
    with pytest.raises(pytest.skip.Exception), soft():
        pytest.skip("no")


def test_failure_in_a_generator_that_is_closed_in_the_block_is_raised(attention) -> None:
    def frames():
        with soft():
            attention.assert_in_region(DARK)
            yield

    frame = frames()
    next(frame)
    with pytest.raises(AttentionError, match="attention in box"):
        frame.close()


def test_inner_block_hands_its_failures_on(attention) -> None:
    after = []
    with pytest.raises(CollectedAttentionError, match=r"^2 of 3 attention checks failed") as raised, soft() as outer:
        attention.assert_in_region(LIT)
        with soft():
            attention.assert_in_region(DARK)
        after.append("inner")
        attention.assert_not_in_region(LIT)
    assert after == ["inner"]
    assert outer.checks == 3
    assert texts(raised.value) == ["attention in box", "attention not in box"]


def test_error_out_of_an_inner_block_loses_nothing(attention) -> None:
    with pytest.raises(CollectedAttentionError, match="2 of 2"), soft():
        attention.assert_in_region(DARK)
        with pytest.raises(ZeroDivisionError), soft():
            attention.assert_not_in_region(LIT)
            1 / 0  # noqa: B018  (an error)


def test_block_that_is_entered_within_itself_loses_nothing(attention) -> None:
    block = soft()
    with pytest.raises(CollectedAttentionError, match="2 of 2"), block:
        attention.assert_in_region(DARK)
        with block:
            attention.assert_not_in_region(LIT)


def test_failure_that_is_awaited_within_the_block_is_collected_instead(attention) -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE") as raised, soft(), pytest.raises(AttentionError):
        attention.assert_in_region(DARK)
    assert texts(raised.value) == ["attention in box"]
