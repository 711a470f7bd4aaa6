"""Where verdicts fall, and where a soft block collects them."""

# ruff: noqa: PT012  (what happens within a soft block is what is tested)

from __future__ import annotations

import contextvars
import copy
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from pytest_cam import AttentionError, CollectedAttentionError, LimitError, soft
from pytest_cam.images.geometry import Geometry
from pytest_cam.measures.localization import METRICS
from pytest_cam.running import RUNNING, Agreed, Key, Running
from pytest_cam.verdicts.findings import Figure, Findings
from pytest_cam.verdicts.judging import judge
from pytest_cam.verdicts.limits import BUILT_IN, IN_REGION, NOT_IN_REGION, Limits, limits_for


def findings(*figures: Figure) -> Findings:
    return Findings("maps agree", "gradcam, 0", figures, (), "photo", Geometry.identity((8, 8)))


def check(*values: float) -> None:
    figures = tuple(Figure(f"part {index}", value, Limits(at_least=0.5)) for index, value in enumerate(values))
    judge("maps agree", figures, lambda held: findings(*held))


def never(held: tuple[Figure, ...]) -> Findings:
    raise RuntimeError("asked")


def test_values_within_their_limits_ask_for_no_evidence() -> None:
    # It would raise if it failed, or asked.
    judge("maps agree", (Figure("Pearson", 0.5, Limits(at_least=0.5, at_most=0.5)),), never)
    judge("maps agree", (Figure("Pearson", 0.5, Limits(at_least=0.5, origin=BUILT_IN)),), never)


def test_one_value_outside_its_limits_fails_with_the_evidence() -> None:
    with pytest.raises(AttentionError, match=r"^maps agree: part 1 0\.40 < 0\.5 \(gradcam, 0\)") as raised:
        check(0.9, 0.4)
    assert [figure.value for figure in raised.value.evidence.figures] == [0.9, 0.4]


def test_number_that_is_none_fails_and_is_called_that() -> None:
    with pytest.raises(AttentionError, match=r"^maps agree: part 1 is not a number \(gradcam, 0\)") as raised:
        check(0.9, np.nan)
    assert "fuller is stronger" not in str(raised.value)  # without a view there is no picture


def test_findings_are_collected_as_well_as_maps() -> None:
    with (
        pytest.raises(CollectedAttentionError, match=r"^2 of 3 attention checks failed: maps agree: part 0") as raised,
        soft(),
    ):
        check(0.1)
        check(0.9)
        check(np.nan)
    assert [failure.evidence.figures[0].value for failure in raised.value.exceptions] == [
        0.1,
        pytest.approx(np.nan, nan_ok=True),
    ]


def test_thread_that_shares_the_block_hands_its_failure_on() -> None:
    with pytest.raises(AttentionError, match=r"part 0 0\.10 < 0.5"), soft() as block:
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(check, 0.1))
        thread.start()
        thread.join()
        assert block.checks == 1


def test_check_that_outlives_its_block_raises() -> None:
    with soft():
        check(0.9)
        context = contextvars.copy_context()
    with pytest.raises(AttentionError, match=r"part 0 0\.10 < 0.5"):
        context.run(check, 0.1)


@pytest.fixture
def running() -> Iterator[Running]:
    """A test of another name, so that nothing of this run's own is asked for or noted."""
    outer = copy.copy(RUNNING)
    RUNNING.become(Running(test="a.py::t[1]", function="a.py::t", source="limits.toml"))
    yield RUNNING
    RUNNING.become(outer)


def judge_one(value: float, limits: Limits) -> None:
    figure = Figure("Pearson", value, limits)
    judge("maps agree", (figure,), lambda held: findings(*held))


AGREED = Key("a.py::t[1]", 1, "maps agree", "Pearson")


@pytest.mark.parametrize("key", [AGREED, AGREED._replace(test="a.py::t")], ids=["the test's", "its function's"])
def test_limit_of_the_file_takes_the_place_of_a_built_in_one(running, key) -> None:
    running.agreed = {key: Agreed(0.7)}
    with pytest.raises(AttentionError, match=r"^maps agree: Pearson 0\.60 < 0\.7") as raised:
        judge_one(0.6, Limits(at_least=0.5, origin=BUILT_IN))
    assert "Pearson    0.6, FAILS at least 0.7, limit from limits.toml" in str(raised.value)
    assert running.asked == [AGREED, AGREED._replace(test="a.py::t")]


def test_limit_of_the_test_goes_before_that_of_its_function(running) -> None:
    function = AGREED._replace(test="a.py::t")
    running.agreed = {function: Agreed(0.9), AGREED: Agreed(0.5)}
    judge_one(0.6, Limits(at_least=0.8, origin=BUILT_IN))
    assert running.asked == [AGREED, function]


@pytest.mark.parametrize("is_calibrating", [False, True])
def test_values_within_the_limits_of_the_file_ask_for_no_evidence(running, is_calibrating) -> None:
    running.agreed, running.is_calibrating = {AGREED: Agreed(0.7)}, is_calibrating
    judge("maps agree", (Figure("Pearson", 0.8, Limits(at_least=0.9, origin=BUILT_IN)),), never)
    assert running.asked == [AGREED, AGREED._replace(test="a.py::t")]


@pytest.mark.parametrize(
    "key", [AGREED._replace(number=2), AGREED._replace(check="maps differ"), AGREED._replace(metric="EMD")]
)
def test_limit_of_another_check_changes_nothing(running, key) -> None:
    running.agreed = {key: Agreed(0.7)}
    judge_one(0.6, Limits(at_least=0.5, origin=BUILT_IN))
    assert key not in running.asked


def test_limit_of_the_call_goes_before_the_file(running) -> None:
    running.agreed = {AGREED: Agreed(0.7)}
    judge_one(0.6, Limits(at_least=0.5))
    with pytest.raises(AttentionError, match=r"0\.60 < 0\.65"):
        judge_one(0.6, Limits(at_least=0.65))


def test_limit_of_one_number_goes_before_the_file_and_the_files_holds_for_the_other(running) -> None:
    running.agreed = {AGREED: Agreed(0.7), AGREED._replace(metric="cosine"): Agreed(0.7)}
    by_call, by_default = Limits(at_least=0.5), Limits(at_least=0.5, origin=BUILT_IN)
    figures = (Figure("cosine", 0.6, by_call), Figure("Pearson", 0.6, by_default))
    with pytest.raises(AttentionError, match=r"^maps agree: Pearson 0\.60 < 0\.7 \("):
        judge("maps agree", figures, lambda held: findings(*held))


def test_outside_of_a_test_there_is_no_file(running) -> None:
    running.agreed = {AGREED: Agreed(0.7)}
    running.test = ""
    judge_one(0.6, Limits(at_least=0.5, origin=BUILT_IN))  # which raises by the limit of the file, 0.7


def test_limit_on_the_side_that_the_check_has_not_is_an_error(running) -> None:
    running.agreed = {AGREED: Agreed(at_most=0.7)}
    with pytest.raises(
        LimitError, match=r"limits\.toml gives at_most = 0\.7 for a\.py::t\[1\] #1 maps agree, Pearson;"
    ):
        judge_one(0.6, Limits(at_least=0.5, origin=BUILT_IN))


def test_calibration_notes_every_limited_number_and_fails_none(running) -> None:
    running.is_calibrating = True
    figures = (
        Figure("Pearson", 0.1, Limits(at_least=0.5, origin=BUILT_IN)),
        Figure("Pearson", np.float32(0.25), Limits(at_most=0.2)),
        Figure("only told", 7.0),
    )
    with soft() as block:
        judge("maps agree", figures, lambda held: findings(*held))
    assert block.checks == 1
    assert [(note["number"], note["metric"], note["value"], note["sides"]) for note in running.records] == [
        (1, "Pearson", 0.1, ["at_least"]),
        (1, "Pearson (2)", 0.25, ["at_most"]),
    ]
    assert {type(value) for note in running.records for value in note.values()} == {str, int, float, list, type(None)}


def test_calibration_takes_a_metric_without_a_default_on_the_side_of_those_with_one(running) -> None:
    running.is_calibrating = True
    assert limits_for(METRICS["energy"], None, None, IN_REGION) == Limits(at_least=0.0)
    assert limits_for(METRICS["energy"], None, None, NOT_IN_REGION) == Limits(at_most=1.0)


def test_calibration_outside_of_a_test_judges_as_ever(running) -> None:
    running.is_calibrating, running.test = True, ""
    with pytest.raises(AttentionError):
        judge_one(0.1, Limits(at_least=0.5, origin=BUILT_IN))
