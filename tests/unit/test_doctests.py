"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest_cam


def test_examples_in_docstrings_run() -> None:
    names = [found.name for found in pkgutil.walk_packages(pytest_cam.__path__, "pytest_cam.")]
    results = [doctest.testmod(importlib.import_module(name)) for name in names]
    assert sum(result.failed for result in results) == 0
    assert sum(result.attempted for result in results) > 0
