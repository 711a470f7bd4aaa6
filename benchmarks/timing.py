"""Ratios of times, measured so that noise hits both sides alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Comparison:
    """A call against a baseline, from interleaved runs.

    Attributes:
        baseline_ms: The median time of the baseline.
        ratio: The median of the paired ratios.
    """

    baseline_ms: float
    ratio: float


def compare(baseline: Callable[[], object], call: Callable[[], object], rounds: int) -> Comparison:
    """Time a baseline and a call in turn, after a warm-up; the order changes from round to round."""
    for _ in range(max(3, rounds // 10)):
        baseline()
        call()
    pairs = []
    for number in range(rounds):
        if number % 2:
            second, first = _seconds(call), _seconds(baseline)
        else:
            first, second = _seconds(baseline), _seconds(call)
        pairs.append((first, second))
    return Comparison(median(first for first, _ in pairs) * 1e3, median(second / first for first, second in pairs))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
