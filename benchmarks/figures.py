"""A figure: one number, the limit it must keep, and whether it does."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace


class UnavailableError(Exception):
    """A library, device or part of pytest-cam that a figure needs is not there; the text says which."""


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        kind: The kind of figure, which is a heading of the report.
        name: What was measured, within its kind.
        value: The number, in `unit`; None where it was not measured.
        limit: What the value must keep, or None where it is only reported.
        below: Whether the value must be below the limit, not only at most that.
        excused: Why the value is as good as met although above the limit, or nothing.
        interval: Between what the median lies with a confidence of 95 %, or None.
        unit: "times", "%", "ms" or "s".
        base: What the value compares with, in absolute numbers.
        note: What a reader must know beside.
        rounds: From how many rounds the median is.
        device: "cpu" or "cuda".
        network: The network, where there is one.
        batch: The batch size, where there is one.
        over_pass: Each library's time over one plain pass, by the library's name.
        skipped: Why it was not measured.
        failed: What was raised while it was measured.
    """

    kind: str
    name: str
    value: float | None = None
    limit: float | None = None
    below: bool = False
    excused: str = ""
    interval: tuple[float, float] | None = None
    unit: str = "times"
    base: str = ""
    note: str = ""
    rounds: int = 0
    device: str = "cpu"
    network: str = ""
    batch: int = 0
    over_pass: Mapping[str, float] = field(default_factory=dict)
    skipped: str = ""
    failed: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None where there is none, or nothing was measured."""
        if self.failed:
            return False
        if self.value is None or self.limit is None:
            return None
        within = self.value < self.limit if self.below else self.value <= self.limit
        return within or bool(self.excused)


def attempted(blank: Figure, measure: Callable[[Figure], Figure]) -> Figure:
    """Return what was measured, or the figure without a value and with the reason.

    One figure that cannot be had does not end a run of half an hour.

    Args:
        blank: The figure without its value.
        measure: From the blank to the figure.
    """
    try:
        return measure(blank)
    except UnavailableError as missing:
        return replace(blank, skipped=str(missing))
    except Exception as error:
        first = (str(error).strip() or "no text").splitlines()[0]
        return replace(blank, failed=f"{type(error).__name__}: {first}")


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the geometric mean, in which twice as fast and twice as slow cancel."""
    return statistics.geometric_mean(ratios)


def median_interval(values: Iterable[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the order statistics between which the median lies, whatever the distribution.

    The k-th smallest and k-th largest of n values miss the median with probability 2 P(Binomial(n, 1/2) < k) (Conover,
    Practical Nonparametric Statistics, 3.2). With fewer than six values no k reaches 95 %: then it is their range.

    Args:
        values: At least one.
        confidence: From 0 to 1.
    """
    ordered = sorted(values)
    count, rank, missed = len(ordered), 1, 0.5 ** len(ordered)
    while rank < count // 2:
        missed += math.comb(count, rank) * 0.5**count
        if 2 * missed > 1 - confidence:
            break
        rank += 1
    return ordered[rank - 1], ordered[-rank]
