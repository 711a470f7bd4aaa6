"""Progress of long work, on the terminal that pytest itself writes to."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from tests.forked import warm
from tests.on_a_terminal import run_on_a_terminal

# Four batches, of which the second ends when there is no more patience.
SLOW = """
import sys
import time

import pytest
import torch

from pytest_cam import attend
from pytest_cam.engine.batches import perturbing

perturbing._PATIENCE = 0.2


def slow(images):
    print("of the model", file=sys.stderr)
    time.sleep({seconds} if len(images) > 1 else 0)
    return images.mean(dim=(2, 3))


@pytest.mark.parametrize("name", ["short", "long" * 25])
def test_slow(name):
    attend(slow, torch.rand(3, 8, 8), method="rise", method_options={{"masks": 2048, "cells": 4}})


def test_captured(capfd):
    test_slow("short")
    assert set(capfd.readouterr().err.split("\\n")) == {{"of the model", ""}}
"""

SECONDS = 0.15
WITHOUT = ("-p", "no:hypothesispytest", "-p", "no:anyio")


OnATerminal: TypeAlias = Callable[..., str]


@pytest.fixture
def on_a_terminal(pytester: pytest.Pytester, python: list[str], forks: str) -> OnATerminal:
    """Return what gives what a run wrote to a terminal of 24 rows."""

    def run(*args: str, seconds: float = 0.0, columns: int = 80, **variables: str) -> str:
        pytester.makepyfile(test_it=SLOW.format(seconds=seconds))
        left_out = {"CI", "NO_COLOR", "PY_COLORS", "FORCE_COLOR", "COLUMNS"}
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        workers, of_workers = warm.workers(forks) if "-n2" in args else ([], {})
        environment |= {"TERM": "xterm", "OMP_NUM_THREADS": "1", **of_workers, **variables}
        how: dict[str, Any] = {"env": environment, "cwd": pytester.path, "stdin": subprocess.DEVNULL}
        return run_on_a_terminal([*python, "-m", "pytest", *WITHOUT, *workers, *args], columns=columns, **how)[1]

    return run


def screen(written: str) -> list[str]:
    """Return the lines that a terminal shows in the end."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", written):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b"):
            number = int(part[2:-1].partition(";")[0] or 1)
            row -= number if part[-1] == "A" else 0
            column += number if part[-1] == "C" else 0
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize(
    ("args", "columns", "line"),
    [
        ([], 80, r"test_it\.py \.\.\. +\[100%\]"),
        (["--capture=sys"], 40, r"test_it\.py \.\.\. +\[100%\]"),
        (["-v"], 200, r"test_it\.py::test_slow\[(long){25}\] PASSED +\[ 66%\]"),
    ],
)
def test_long_work_shows_its_progress_below_pytests_line(
    on_a_terminal: OnATerminal, args: list[str], columns: int, line: str
) -> None:
    written = on_a_terminal("-p", "no:xdist", *args, seconds=SECONDS, columns=columns)
    assert written.count("inputs of rise: 100%") == 3
    assert {len(bar) for bar in re.findall(r"inputs of rise:[^\r]+", written)} == {columns - 1}
    shown = screen(written)
    assert [each for each in shown if re.fullmatch(line, each)], shown
    assert not [each for each in shown if "inputs of rise" in each or "of the model" in each], shown
    assert shown.count("") <= 3, shown


def test_short_work_leaves_the_terminal_alone(on_a_terminal: OnATerminal) -> None:
    assert "\x1b[A" not in on_a_terminal("-p", "no:xdist")


def test_progress_goes_to_stderr_where_nothing_is_captured(on_a_terminal: OnATerminal) -> None:
    written = on_a_terminal("-p", "no:xdist", "-s", "-k", "test_slow", seconds=SECONDS)
    assert written.count("inputs of rise: 100%") == 2
    assert "\x1b[A" not in written


@pytest.mark.parametrize(
    ("args", "variables"),
    [(["-p", "no:xdist"], {"CI": "true"}), (["-p", "no:xdist"], {"TERM": "dumb"}), (["-n2"], {})],
)
def test_elsewhere_no_progress_is_shown(on_a_terminal: OnATerminal, args: list[str], variables: dict[str, str]) -> None:
    written = on_a_terminal(*args, seconds=SECONDS, **variables)
    assert "inputs of rise" not in written


def test_nothing_is_shown_where_pytest_writes_to_a_file(pytester: pytest.Pytester, python: list[str]) -> None:
    pytester.makepyfile(test_it=SLOW.format(seconds=SECONDS))
    result = pytester.run(*python, "-m", "pytest", *WITHOUT, "-p", "no:xdist")
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*inputs of rise*")
