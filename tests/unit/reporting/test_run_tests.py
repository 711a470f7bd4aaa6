"""Which tests of a run are those that a limits file or a baseline names."""

from __future__ import annotations

import pytest

from pytest_cam.reporting.run_tests import RunTests
from tests.steps import steps_of


@pytest.mark.parametrize(
    ("test", "other", "expected"),
    [
        ("a.py::test_red", "a.py::test_red", True),
        ("a.py::test_red", "a.py::test_red[1-2]", True),
        ("a.py::test_red", "a.py::test_reddish", False),
        ("a.py::test_red[dog]", "a.py::test_red[dog-1-2]", True),
        ("a.py::test_red[dog]", "a.py::test_red[1-dog]", True),
        ("a.py::test_red[dog]", "a.py::test_red[dogs-1]", False),
        ("a.py::test_red[dog]", "a.py::test_red[cat]", False),
        ("a.py::test_red[dog]", "a.py::test_red", False),
        ("a[b]/c.py::test_red[d[o]g]", "a[b]/c.py::test_red[d[o]g-1]", True),
        ("a[b]/c.py::test_red[d[o]g]", "a[b]/c.py::test_blue[d[o]g-1]", False),
    ],
)
def test_a_test_that_is_repeated_has_further_parameters(test: str, other: str, expected: bool) -> None:
    assert RunTests([other]).include(test) is expected


@pytest.mark.parametrize("more", ["", "-1-2"])
def test_thousands_of_parameters_are_looked_for_in_thousands(more: str) -> None:
    def steps(count: int) -> int:
        tests = RunTests(f"a.py::test_red[{number}-tight{more}]" for number in range(count))
        return steps_of(lambda: tests.include("a.py::test_red[7-tight]") or tests.include("a.py::test_red[-1-tight]"))

    assert steps(1000) == steps(100)
