"""Many samples in batches: order, sizes, shortages of memory, progress."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_cam.engine.batches import perturbing
from pytest_cam.engine.batches.perturbing import batch_size, in_batches
from pytest_cam.errors import CamError, MemoryShortError, OutputError
from tests.on_a_terminal import run_on_a_terminal

CPU = torch.device("cpu")
MIB = 2**20


class Runner:
    """Doubles numbers, and runs out of memory above some batch size as an allocator does."""

    def __init__(self, most: int, shortage: Any = None) -> None:
        self.most, self.shortage = most, shortage
        self.tried: list[tuple[int, int]] = []

    def make(self, start: int, stop: int) -> torch.Tensor:
        self.tried.append((start, stop))
        return torch.arange(start, stop)

    def run(self, samples: torch.Tensor) -> torch.Tensor:
        if len(samples) > self.most:
            if self.shortage is None:
                torch.empty(2**50)
            raise self.shortage
        return samples.double() * 2

    def all(self, count: int, unit_bytes: int = MIB) -> torch.Tensor:
        return in_batches(
            self.run, self.make, count, what="masked inputs", unit_bytes=unit_bytes, device=torch.device("cpu")
        )


@given(count=st.integers(1, 70), most=st.integers(1, 40), unit=st.integers(1, 4 * MIB))
def test_values_come_in_order_whatever_fits(count: int, most: int, unit: int) -> None:
    assert Runner(most, MemoryError()).all(count, unit).tolist() == [2.0 * number for number in range(count)]


def test_shortage_halves_the_batch_and_goes_on_from_there() -> None:
    runner = Runner(most=5)
    runner.all(20, unit_bytes=8 * MIB)  # 8 at a time
    assert runner.tried == [(0, 8), (0, 4), (4, 8), (8, 12), (12, 16), (16, 20)]


@pytest.mark.parametrize("shortage", [None, torch.cuda.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_each_kind_of_shortage_counts(shortage: Exception | None) -> None:
    assert Runner(1, shortage).all(3).tolist() == [0, 2, 4]


def test_shortage_while_samples_are_made_counts() -> None:
    def make(start: int, stop: int) -> torch.Tensor:
        return torch.empty(2**50) if stop - start > 2 else torch.arange(start, stop)

    values = in_batches(lambda samples: samples, make, 5, what="masks", unit_bytes=MIB, device=CPU)
    assert values.tolist() == [0, 1, 2, 3, 4]


def test_sample_that_does_not_fit_alone_is_named_with_its_size() -> None:
    with pytest.raises(MemoryShortError, match=r"one of the masked inputs .* about 3 MiB\. .*can't allocate") as error:
        Runner(most=0).all(4, unit_bytes=3 * MIB)
    # `device=` moves no model: where it differs from the model's, it is an error itself.
    assert "or move the model to a device with more memory" in str(error.value)
    assert isinstance(error.value, CamError)
    assert isinstance(error.value, MemoryError)


def test_other_errors_pass_through() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        Runner(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied")).all(4)


def test_values_that_mix_a_batch_are_an_error() -> None:
    with pytest.raises(OutputError, match=r"running 4 masks at once gave a tensor \(1,\)"):
        in_batches(
            lambda samples: samples.sum()[None],
            lambda start, stop: torch.ones(stop - start),
            4,
            what="masks",
            unit_bytes=MIB,
            device=CPU,
        )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.int64, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_values_are_float32_or_better(kind: torch.dtype, expected: torch.dtype) -> None:
    values = in_batches(
        lambda samples: samples[:, None].to(kind).requires_grad_(kind.is_floating_point),
        lambda start, stop: torch.arange(start, stop),
        20,
        what="masks",
        unit_bytes=2 * MIB,
        device=CPU,
    )
    assert (values.shape, values.dtype, values.requires_grad) == ((20, 1), expected, False)


@pytest.mark.parametrize(
    ("count", "unit_bytes", "expected"),
    [
        (3, MIB, 3),  # no more than there are
        (100, 40 * MIB, 8),  # what keeps the cores busy
        (10_000, MIB, 64),  # what stays in the caches
        (10_000, 0, 512),
        (100, 2**60, 1),  # more than there is: one is tried all the same
    ],
)
def test_batch_is_no_larger_than_useful(count: int, unit_bytes: int, expected: int) -> None:
    assert batch_size(count, unit_bytes, CPU) == expected


def test_batch_takes_a_quarter_of_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturbing, "free_bytes", lambda device: 80 * MIB)
    assert batch_size(100, 5 * MIB, CPU) == 4


SLOW = """
import sys, time, torch
import pytest_cam.engine.batches.perturbing as perturbing
{before}
def run(samples):
    time.sleep({seconds})
    return samples
perturbing.in_batches(run, lambda start, stop: torch.arange(start, stop), 40, what="masked inputs",
                      unit_bytes=2 ** 24, device=torch.device("cpu"))
print("done")
"""
# torch imports tqdm of its own accord; now nobody can.
WITHOUT_TQDM = 'sys.modules["tqdm"] = None'


Ran: TypeAlias = Callable[..., tuple[str, str]]


@pytest.fixture
def ran(python: list[str]) -> Ran:
    """Return what gives what a process that needs five batches of so many seconds wrote to stdout and stderr."""

    def run(seconds: float, *, terminal: bool, ci: str | None = None, before: str = "") -> tuple[str, str]:
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        if ci is not None:
            environment["CI"] = ci
        code = [*python, "-c", SLOW.format(seconds=seconds, before=before)]
        if not terminal:
            done = subprocess.run(code, env=environment, capture_output=True, text=True, check=True)
            return done.stdout, done.stderr
        return run_on_a_terminal(code, env=environment, stdout=subprocess.PIPE)

    return run


def test_long_work_shows_its_progress_on_a_terminal(ran: Ran) -> None:
    said, shown = ran(0.6, terminal=True)
    assert said == "done\n"
    assert "masked inputs:" in shown
    assert "/40" in shown
    assert " 8/40" not in shown  # nothing in the first two seconds


def test_short_work_shows_nothing(ran: Ran) -> None:
    assert ran(0.01, terminal=True) == ("done\n", "")


@pytest.mark.parametrize(("terminal", "ci"), [(False, None), (True, "true")])
def test_elsewhere_nothing_is_shown_and_tqdm_is_not_imported(ran: Ran, terminal: bool, ci: str | None) -> None:
    assert ran(0.45, terminal=terminal, ci=ci, before=WITHOUT_TQDM) == ("done\n", "")
