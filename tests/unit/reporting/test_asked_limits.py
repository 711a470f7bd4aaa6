"""Entries of the limits file that no check asked for: what is said of them, and that thousands are told of in time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_cam.reporting.asked_limits import AskedLimits
from pytest_cam.running import Key
from tests.steps import steps_of


class Terminal:
    """Holds what is written to it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_sep(self, *_args: object, **_markup: object) -> None: ...

    def write_line(self, line: str, **_markup: object) -> None:
        self.lines.append(line)


def config_in(root: Path) -> Any:
    return SimpleNamespace(args=[], rootpath=root, option=SimpleNamespace(collectonly=False))


def key_of(number: int, metric: str) -> Key:
    return Key(f"test_a.py::test_red[{number}]", 1, "attention in box", metric)


def report_of(number: int, when: str, outcome: str = "passed", rerun: int = 0) -> Any:
    nodeid, asked = f"test_a.py::test_red[{number}]", [list(key_of(number, "skill"))]
    return SimpleNamespace(
        nodeid=nodeid, when=when, outcome=outcome, passed=outcome == "passed", rerun=rerun, cam_limits_asked=asked
    )


def summary_of(count: int, root: Path, known: str) -> tuple[AskedLimits, Terminal, Any]:
    """Have each of many tests ask for the limit of skill, and the file know that of some metric."""
    config = config_in(root)
    limits = AskedLimits([key_of(number, known) for number in range(count)], "limits.toml", config)
    items: list[Any] = [
        SimpleNamespace(nodeid=f"test_a.py::test_red[{number}]", path=root / "test_a.py", config=config)
        for number in range(count)
    ]
    limits.pytest_collection_modifyitems(config, items)
    for number in range(count):
        for when in ("call", "teardown"):
            limits.pytest_runtest_logreport(report_of(number, when))
    return limits, Terminal(), config


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "test_a.py").touch()
    return tmp_path


def test_each_entry_of_a_check_that_asked_for_something_else_is_named(root: Path) -> None:
    limits, terminal, config = summary_of(3, root, "energy")
    limits.pytest_terminal_summary(terminal, config)  # type: ignore[arg-type]
    assert terminal.lines[0] == (
        "no check asked for test_a.py::test_red[0] #1 attention in box, energy: that check asked for skill"
    )
    assert len(terminal.lines) == 4


@pytest.mark.parametrize("known", ["skill", "energy"])
def test_ten_times_the_entries_take_about_ten_times_the_steps(root: Path, known: str) -> None:
    def steps(count: int) -> int:
        def run() -> None:
            limits, terminal, config = summary_of(count, root, known)
            limits.pytest_terminal_summary(terminal, config)  # type: ignore[arg-type]

        return steps_of(run)

    assert steps(300) < 11 * steps(30)


def test_an_attempt_that_does_not_count_takes_back_what_it_asked_in_as_many_steps(root: Path) -> None:
    def steps(count: int) -> int:
        limits, _, _ = summary_of(count, root, "skill")
        return steps_of(lambda: limits.pytest_runtest_logreport(report_of(7, "call", "rerun", 1)))

    assert steps(300) == steps(30)
