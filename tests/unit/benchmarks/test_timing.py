from __future__ import annotations

import time

import pytest

from benchmarks.timing import Effort, Samples, interleaved


def test_ratio_is_the_median_of_the_ratios_within_a_round() -> None:
    # Within the rounds 4, 3 and 1; the ratio of the medians would be 4 / 2.
    samples = Samples({"plain": [1.0, 2.0, 4.0], "mine": [4.0, 6.0, 4.0]})
    assert samples.ratios("mine", "plain") == [4.0, 3.0, 1.0]
    assert samples.ratio("mine", "plain") == 3.0
    assert samples.interval("mine", "plain") == (1.0, 4.0)
    assert samples.milliseconds("plain") == 2000.0
    assert samples.rounds == 3


def test_slow_drift_of_the_machine_cancels_in_ratios() -> None:
    drift = [1.0, 10.0, 100.0]
    samples = Samples({"plain": drift, "mine": [1.5 * seconds for seconds in drift]})
    assert samples.ratio("mine", "plain") == pytest.approx(1.5)


def test_rounds_follow_from_time_within_bounds() -> None:
    effort = Effort(scale=2.0, least=7, most=60)
    assert effort.goes_on(6, spent=1000.0, seconds=20.0)
    assert not effort.goes_on(7, spent=40.0, seconds=20.0)
    assert effort.goes_on(7, spent=39.0, seconds=20.0)
    assert not effort.goes_on(60, spent=0.0, seconds=20.0)


def test_each_round_has_one_input_for_all_and_another_first() -> None:
    runs: list[tuple[str, int]] = []
    inputs = iter(range(100))
    contenders = {name: lambda given, name=name: runs.append((name, given)) for name in "abc"}  # type: ignore[misc]
    samples = interleaved(contenders, lambda: next(inputs), Effort(least=4, most=4, warm_up=1), seconds=0)
    rounds = [runs[index : index + 3] for index in range(0, len(runs), 3)]
    assert [["".join(name for name, _ in one), {given for _, given in one}] for one in rounds] == [
        ["abc", {0}],  # the warm-up
        ["abc", {1}],
        ["bca", {2}],
        ["cab", {3}],
        ["abc", {4}],
    ]
    assert samples.rounds == 4


def test_drawing_an_input_is_not_timed() -> None:
    def draw() -> None:
        time.sleep(0.05)

    samples = interleaved({"nothing": lambda _: None}, draw, Effort(least=3, most=3, warm_up=0), seconds=0)
    assert max(samples.seconds["nothing"]) < 0.05
