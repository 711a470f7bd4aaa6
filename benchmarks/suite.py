"""Checks in real runs of pytest: twenty of one image, one more, and two hundred of two hundred images by two workers.

The twenty are asked in both ways: each by a call with the model and the image, and all of one attention.

What a test costs is timed inside it, since a run's start, which imports torch, would drown it. The two hundred are
timed as a user waits for them: from the command to its end.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import numpy as np
from PIL import Image

from benchmarks.figures import Figure, UnavailableError, attempted, median_interval
from benchmarks.machine import cores
from benchmarks.project import SHARED_THREADS, SHARED_THREADS_FLAG, Project, has_flag, project, timed_runs
from benchmarks.setup import Setup

KIND = "Runs of pytest"
ASSERTIONS, ASSERTIONS_LIMIT = 20, 1.3
CHECKS, WORKERS, WORKERS_LIMIT = 200, 2, 1.0
ROUNDS, ROUNDS_OF_SUITE = 30, 5

# As the README advises for pytest-xdist: its controller imports this file, too, and only then starts the workers.
CONFTEST = """
import pytest


@pytest.fixture(scope="session")
def model():
    import torch
    import torchvision

    torch.manual_seed(0)
    return torchvision.models.{network}(weights=None).eval()


@pytest.fixture
def cam_preprocess():
    from torchvision.transforms._presets import ImageClassification

    return ImageClassification(crop_size=224)
"""

# A map of random weights lies everywhere: the least energy of a box is enough for a check that does not fail, and is
# computed as any other.
TIMED = """
import json
import time

import pytest
import torch

WARM_UP, ROUNDS, COUNT = 3, {rounds}, {count}
BOXES = [(8 * index, 8 * index, 8 * index + 72, 8 * index + 72) for index in range(COUNT)]


def seconds(run, *args):
    start = time.perf_counter()
    run(*args)
    return time.perf_counter() - start


@pytest.mark.parametrize("index", range(WARM_UP + ROUNDS))
def test_assertions(cam, model, index):
    def plain(image):
        with torch.inference_mode():
            model(image)

    def check(image, boxes):
        for box in boxes:
            cam.assert_attention_in_region(model, image, box, layer="layer4", metric="energy", at_least=1e-6)

    def check_one_attention(image, boxes):
        attention = cam(model, image, layer="layer4")
        for box in boxes:
            attention.assert_in_region(box, metric="energy", at_least=1e-6)

    drawn = torch.Generator().manual_seed(index)
    one, other, third = (torch.randn(1, 3, 224, 224, generator=drawn) for _ in range(3))
    plain_before = seconds(plain, one)
    all_of_them = seconds(check, one, BOXES)
    plain_after = seconds(plain, other)
    first = seconds(check, other, BOXES[:1])
    of_one = seconds(check_one_attention, third, BOXES)
    if index >= WARM_UP:
        taken = {{"plain": (plain_before + plain_after) / 2, "all": all_of_them, "first": first, "of one": of_one}}
        with open("taken.jsonl", "a") as lines:
            print(json.dumps(taken), file=lines)
"""

SUITE = """
import pytest


@pytest.mark.parametrize("index", range({checks}))
def test_looks_somewhere(cam, model, index):
    box = (100, 80, 220, 160)
    cam.assert_attention_in_region(model, f"photos/{{index}}.png", box, "layer4", metric="energy", at_least=1e-6)
"""


def figures(setup: Setup) -> Iterator[Figure]:
    """Measure each; the cost of an assertion is of the same runs as the twenty."""
    twenty, of_one = (
        Figure(KIND, f"{ASSERTIONS} assertions on one {what} in one test, over a plain pass", limit=ASSERTIONS_LIMIT)
        for what in ("image", "attention")
    )
    extra = Figure(KIND, "one more assertion on the same image", unit="ms")
    try:
        taken = _assertions(setup)
    except Exception as error:
        yield replace(twenty, failed=f"{type(error).__name__}: {error}")
        yield replace(of_one, failed="as above")
        yield replace(extra, failed="as above")
    else:
        yield _twenty(twenty, taken, "all")
        yield _twenty(of_one, taken, "of one")
        yield _extra(extra, taken)
    count = _checks(setup)
    blank = Figure(KIND, f"{count} checks on {count} images, -n{WORKERS} over plain", limit=WORKERS_LIMIT)
    yield attempted(blank, partial(_workers, setup))


def _network(setup: Setup) -> str:
    return "resnet18" if setup.quick else "resnet50"


def _checks(setup: Setup) -> int:
    return 8 if setup.quick else CHECKS


def _assertions(setup: Setup) -> list[dict[str, float]]:
    rounds = max(setup.effort.least, min(ROUNDS, setup.effort.most))
    with project() as made:
        made.write(
            conftest=CONFTEST.format(network=_network(setup)), test_timed=TIMED.format(rounds=rounds, count=ASSERTIONS)
        )
        made.run("-p", "no:xdist")
        return [json.loads(line) for line in (made.path / "taken.jsonl").read_text(encoding="utf-8").splitlines()]


def _twenty(blank: Figure, taken: list[dict[str, float]], way: str) -> Figure:
    ratios = [one[way] / one["plain"] for one in taken]
    plain = statistics.median(one["plain"] for one in taken)
    return replace(
        blank,
        value=statistics.median(ratios),
        interval=median_interval(ratios),
        base=f"{plain * 1e3:.1f} ms",
        rounds=len(ratios),
    )


def _extra(blank: Figure, taken: list[dict[str, float]]) -> Figure:
    costs = [1e3 * (one["all"] - one["first"]) / (ASSERTIONS - 1) for one in taken]
    first = 1e3 * statistics.median(one["first"] for one in taken)
    return replace(
        blank,
        value=statistics.median(costs),
        interval=median_interval(costs),
        base=f"the first one takes {first:.1f} ms",
        rounds=len(costs),
    )


def _workers(setup: Setup, blank: Figure) -> Figure:
    if find_spec("xdist") is None:
        raise UnavailableError("pytest-xdist is not installed; pip install -e '.[test]'")
    if not has_flag(SHARED_THREADS_FLAG):
        raise UnavailableError(f"not available in this version of pytest-cam: {SHARED_THREADS_FLAG}")
    if cores() < WORKERS:
        raise UnavailableError(f"{WORKERS} workers need {WORKERS} cores")
    with project() as made:
        made.write(conftest=CONFTEST.format(network=_network(setup)), test_suite=SUITE.format(checks=_checks(setup)))
        _photos(made, _checks(setup))
        # So that nobody is the first to import and compile.
        made.run("-p", "no:xdist", "test_suite.py::test_looks_somewhere[0]")
        commands = {"plain": ("-p", "no:xdist"), "workers": (f"-n{WORKERS}", *SHARED_THREADS)}
        samples = timed_runs(made, commands, 1 if setup.quick else ROUNDS_OF_SUITE, warm_up=0)
    return replace(
        blank,
        value=samples.ratio("workers", "plain"),
        interval=samples.interval("workers", "plain"),
        base=f"{samples.milliseconds('plain') / 1e3:.1f} s, plain",
        rounds=samples.rounds,
        note=f"{_network(setup)}, whole runs, with {' '.join(SHARED_THREADS)}, torch imported by fixtures",
    )


def _photos(made: Project, count: int) -> None:
    directory = made.path / "photos"
    directory.mkdir()
    noise = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(noise.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(directory / f"{index}.png")
