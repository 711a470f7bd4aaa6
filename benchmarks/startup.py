"""What the plug-in adds to the start of every run of pytest, used or not."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.figures import Figure, attempted, median_interval
from benchmarks.project import project, timed_runs
from benchmarks.setup import Setup

KIND = "Start of pytest: collecting one empty test"
ROUNDS = 40


def figures(setup: Setup) -> Iterator[Figure]:
    """Measure `pytest --collect-only` with the plug-in, and with `-p no:cam`."""
    yield attempted(Figure(KIND, "added by the plug-in", unit="ms"), partial(_measured, setup))


def _measured(setup: Setup, blank: Figure) -> Figure:
    with project() as made:
        made.write(test_nothing="def test_nothing():\n    pass\n")
        commands = {"without": ("--collect-only", "-p", "no:cam"), "with": ("--collect-only",)}
        samples = timed_runs(made, commands, 2 if setup.quick else ROUNDS, warm_up=1)
    seconds = zip(samples.seconds["with"], samples.seconds["without"], strict=True)
    added = [1e3 * (mine - other) for mine, other in seconds]
    return replace(
        blank,
        value=statistics.median(added),
        interval=median_interval(added),
        base=f"{samples.milliseconds('without'):.0f} ms with -p no:cam, which leaves what other plug-ins take",
        rounds=samples.rounds,
    )
