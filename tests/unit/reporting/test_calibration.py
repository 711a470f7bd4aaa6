"""Limits of thousands of tests are proposed in time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_cam.reporting.calibration import Calibration
from pytest_cam.reporting.limits_file import Entry, read_limits
from pytest_cam.running import Agreed, Key
from tests.steps import steps_of

CONFIG: Any = SimpleNamespace(option=SimpleNamespace(collectonly=False))
SESSION: Any = SimpleNamespace(config=CONFIG, exitstatus=pytest.ExitCode.OK)


def name_of(number: int, parameter: str) -> str:
    return f"test_a.py::test_{number}[{parameter}]"


def report_of(number: int, when: str, outcome: str = "passed", rerun: int = 0) -> Any:
    check = {
        "test": name_of(number, "dog"),
        "function": f"test_a.py::test_{number}",
        "number": 1,
        "check": "attention in box",
        "metric": "skill",
        "value": 0.9,
        "sides": ["at_least"],
        "range": [-1.0, 1.0],
        "level": 0.0,
        "giver": "",
        "present": "at least 0.25",
        "held": [0.25, None],
        "chance": 0.1,
        "ceiling": 1.0,
    }
    return SimpleNamespace(
        nodeid=name_of(number, "dog"), when=when, outcome=outcome, passed=True, rerun=rerun, cam_checks=[check]
    )


def calibration_of(count: int, path: Path) -> Calibration:
    """Calibrate many functions, each of which the file knows with another parameter."""
    earlier = [Key(name, 1, "attention in box", "skill") for number in range(count) for name in names_of(number)]
    made = Calibration(path, {key: Entry(key, Agreed(0.5)) for key in earlier}, 0.1, CONFIG)
    for number in range(count):
        for when in ("call", "teardown"):
            made.pytest_runtest_logreport(report_of(number, when))
    return made


def names_of(number: int) -> tuple[str, str]:
    return f"test_a.py::test_{number}", name_of(number, "cat" if number % 2 else "dog")


def test_the_limit_of_a_function_stays_where_a_parameter_was_not_calibrated(tmp_path: Path) -> None:
    calibration_of(2, tmp_path / "limits.toml").pytest_sessionfinish(SESSION)
    assert [key.test for key in read_limits(tmp_path / "limits.toml")] == [
        "test_a.py::test_0[dog]",
        "test_a.py::test_1",
        "test_a.py::test_1[cat]",
        "test_a.py::test_1[dog]",
    ]


def test_ten_times_the_tests_take_about_ten_times_the_steps(tmp_path: Path) -> None:
    def steps(count: int) -> int:
        calibration = calibration_of(count, tmp_path / "limits.toml")
        return steps_of(lambda: calibration.pytest_sessionfinish(SESSION))

    assert steps(300) < 11 * steps(30)


def test_an_attempt_that_does_not_count_takes_back_what_it_recorded_in_as_many_steps(tmp_path: Path) -> None:
    def steps(count: int) -> int:
        calibration = calibration_of(count, tmp_path / "limits.toml")
        return steps_of(lambda: calibration.pytest_runtest_logreport(report_of(7, "call", "rerun", 1)))

    assert steps(300) == steps(30)
