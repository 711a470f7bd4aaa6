"""Times of several contenders, taken in turns within one process.

What else the machine does then falls on all of them, and the figure is the median of the ratios within a round. Who
begins changes from round to round, so that nobody always finds the caches as the same other left them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.figures import median_interval

# A warm-up in which all contenders together take longer than this, in seconds, is not repeated.
_LONG = 1.0

Contender = Callable[[Any], object]


@dataclass(frozen=True)
class Effort:
    """How many rounds a figure gets: as many as fit its time, within bounds.

    Attributes:
        scale: By how much the seconds of each figure are multiplied.
        least: The fewest rounds, whatever they take.
        most: The most rounds, however little they take.
        warm_up: How often each contender runs before it is timed.
    """

    scale: float = 1.0
    least: int = 9
    most: int = 60
    warm_up: int = 2

    def goes_on(self, rounds: int, spent: float, seconds: float) -> bool:
        """Whether one more round is to be run after so many rounds and seconds, of the seconds that a figure has."""
        if rounds < self.least:
            return True
        return rounds < self.most and spent < seconds * self.scale


@dataclass(frozen=True)
class Samples:
    """Seconds by contender, in the order of the rounds."""

    seconds: Mapping[str, list[float]]

    @property
    def rounds(self) -> int:
        """How many rounds there were."""
        return len(next(iter(self.seconds.values())))

    def milliseconds(self, name: str) -> float:
        """Return a contender's median time in milliseconds."""
        return statistics.median(self.seconds[name]) * 1e3

    def ratios(self, name: str, base: str) -> list[float]:
        """Return a contender's time over another's in the same round, for each round."""
        return [mine / other for mine, other in zip(self.seconds[name], self.seconds[base], strict=True)]

    def ratio(self, name: str, base: str) -> float:
        """Return the median of those ratios."""
        return statistics.median(self.ratios(name, base))

    def interval(self, name: str, base: str) -> tuple[float, float]:
        """Return between what that median lies with a confidence of 95 %."""
        return median_interval(self.ratios(name, base))


def wall_clock(run: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def cuda_clock(run: Callable[[], object]) -> float:
    """Return the seconds between two events on the current CUDA stream around a call.

    Time in which the GPU waits for the CPU counts. Before the first event the device is idle, and the clock is read
    when it is idle again: a pass that was only queued has not been run.
    """
    begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    begin.record()
    run()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def clock_for(device: str) -> Callable[[Callable[[], object]], float]:
    """Return the clock of a device, "cpu" or "cuda"."""
    return cuda_clock if device == "cuda" else wall_clock


def interleaved(
    contenders: Mapping[str, Contender],
    draw: Callable[[], Any],
    effort: Effort,
    seconds: float,
    device: str = "cpu",
) -> Samples:
    """Run each contender on the same input, round after round, each round on a new input.

    Args:
        contenders: From a name to what is timed, a function of the input.
        draw: Makes an input; not timed.
        effort: How many rounds.
        seconds: The time that the figure has for its timed runs, before the effort's scale.
        device: "cpu" or "cuda".
    """
    clock, names = clock_for(device), list(contenders)
    for again in range(effort.warm_up):
        given = draw()
        spent = sum(wall_clock(partial(contenders[name], given)) for name in names)
        if again == 0 and spent > _LONG:
            break
    taken: dict[str, list[float]] = {name: [] for name in names}
    rounds, spent = 0, 0.0
    while effort.goes_on(rounds, spent, seconds):
        given = draw()
        first = rounds % len(names)
        for name in names[first:] + names[:first]:
            taken[name].append(clock(partial(contenders[name], given)))
            spent += taken[name][-1]
        rounds += 1
    return Samples(taken)
