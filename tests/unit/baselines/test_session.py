"""What one process of a run knows of its tests."""

from __future__ import annotations

import pytest

CLAIMS = """
from pytest_cam.baselines.claiming import running_test

def test_claims():
    running_test("the verb").claim(None)
"""


def test_a_test_that_is_collected_twice_claims_its_baseline_each_time(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_claims=CLAIMS)
    result = pytester.runpytest("-p", "no:xdist", "--keep-duplicates", "test_claims.py", "test_claims.py")
    result.assert_outcomes(passed=2)


def test_a_run_inside_of_a_test_leaves_the_outer_tests_claim(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("pytest_plugins = ['pytester']")
    pytester.makepyfile(
        test_claims=f"{CLAIMS}\ndef test_runs(pytester):\n    pytester.parseconfigure()\n    test_claims()\n"
    )
    pytester.runpytest("-p", "no:xdist").assert_outcomes(passed=2)
