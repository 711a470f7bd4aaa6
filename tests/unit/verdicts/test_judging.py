"""Where verdicts fall, and where a soft block collects them."""

# ruff: noqa: PT012  (what happens within a soft block is what is tested)

from __future__ import annotations

import contextvars
import threading

import numpy as np
import pytest

from pytest_cam import AttentionError, CollectedAttentionError, soft
from pytest_cam.images.geometry import Geometry
from pytest_cam.verdicts.findings import Figure, Findings
from pytest_cam.verdicts.judging import judge
from pytest_cam.verdicts.limits import Limits


def findings(*figures: Figure) -> Findings:
    return Findings("maps agree", "gradcam, 0", figures, (), "photo", Geometry.identity((8, 8)))


def check(*values: float) -> None:
    figures = tuple(Figure(f"part {index}", value, Limits(at_least=0.5)) for index, value in enumerate(values))
    judge(figures, lambda: findings(*figures))


def test_values_within_their_limits_ask_for_no_evidence() -> None:
    def never() -> Findings:
        raise RuntimeError("asked")

    judge((Figure("Pearson", 0.5, Limits(at_least=0.5, at_most=0.5)),), never)


def test_one_value_outside_its_limits_fails_with_the_evidence() -> None:
    with pytest.raises(AttentionError, match=r"^maps agree: part 1 0\.40 < 0\.5 \(gradcam, 0\)") as raised:
        check(0.9, 0.4)
    assert [figure.value for figure in raised.value.evidence.figures] == [0.9, 0.4]


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
