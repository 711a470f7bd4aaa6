"""The example project: green for the model that looks at the digit, red for the one that takes the shortcut."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "example_project"
# Four of the twenty photos are enough to show it; the whole suite is one command of the README.
SELECTION = ("-k", "accuracy or 001 or 002 or 003 or 004")
CLAIMS = {
    "test_model_looks_at_the_digit",
    "test_model_does_not_look_at_the_tag",
    "test_attention_peaks_on_the_digit",
}


@pytest.fixture
def example(project):
    # To import it here would be to import it twice: pytester forgets what is imported during a test.
    if find_spec("sklearn") is None:
        pytest.skip("needs the `example` extra")
    shutil.copytree(EXAMPLE, project.path / "example_project")
    return project


def test_honest_model_passes_all_tests(example):
    result = example.run_with_artifacts("example_project", *SELECTION, subprocess=True)

    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes()["passed"] == 1 + 4 * len(CLAIMS)
    assert list(example.directory.iterdir()) == []


def test_shortcut_passes_on_accuracy_and_fails_each_claim_with_pictures(example):
    result = example.run_with_artifacts("example_project", "--candidate=shortcut", *SELECTION, subprocess=True)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=4 * len(CLAIMS))
    result.stdout.no_fnmatch_line("FAILED *test_accuracy.py*")
    failed = {name.partition("[")[0] for name in example.documents()}
    assert failed == CLAIMS
    folders = list(example.directory.iterdir())
    assert len(folders) == 4 * len(CLAIMS)
    assert all((folder / "panel.png").stat().st_size > 0 for folder in folders)
