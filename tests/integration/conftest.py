"""A user's project in a temporary directory, whose one model looks at whatever is bright."""

from __future__ import annotations

import json
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.forked import warm

# Layer "0" passes the image through and class 1 is its mean: at layer "0" the map of method "gradcam" is the image
# divided by its 64 pixels. LIT holds all of it, DARK none.
SPOTLIGHT = """
import torch
from torch import nn

LIT, DARK = (1, 1, 5, 5), (5, 5, 8, 8)


def photo():
    image = torch.zeros(1, 8, 8)
    image[:, 1:5, 1:5] = 1.0
    return image


def spotlight():
    model = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2, bias=False)
    )
    model[0].weight.data.fill_(1.0)
    model[3].weight.data.copy_(torch.tensor([[0.0], [1.0]]))
    return model.eval()
"""
# torch is imported where it is used: the process that only hands out tests to workers does not wait for it.
CONFTEST = """
import pytest


@pytest.fixture(scope="session")
def model():
    from spotlight import spotlight

    return spotlight()


@pytest.fixture
def photo():
    from spotlight import photo

    return photo()
"""
REPEATING = """

@pytest.fixture
def __pytest_repeat_step_number(request):
    return request.param


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc):
    name = "__pytest_repeat_step_number"
    metafunc.fixturenames.append(name)
    metafunc.parametrize(name, range(2), indirect=True, ids=lambda step: f"{step + 1}-2")
"""
PREAMBLE = """
import unittest

import pytest

from pytest_cam import AttentionError, assert_attention_in_region, attend
from spotlight import DARK, LIT, photo as make_photo, spotlight
"""


@dataclass
class Project:
    """A project under test, and one way of running pytest in it."""

    pytester: pytest.Pytester
    plugin_args: tuple[str, ...]
    socket: str

    @property
    def path(self) -> Path:
        return self.pytester.path

    @property
    def directory(self) -> Path:
        return self.path / "artifacts"

    def write(self, **modules: str) -> None:
        """Write test modules, each after a preamble that imports what they need."""
        for name, source in modules.items():
            text = PREAMBLE + textwrap.dedent(source)
            (self.path / f"{name}.py").write_text(text, encoding="utf-8")

    def repeat(self) -> None:
        """Have each test run twice from now on, as `pytest --count=2` does with pytest-repeat."""
        with (self.path / "conftest.py").open("a", encoding="utf-8") as conftest:
            conftest.write(REPEATING)

    def run(self, *args: str, subprocess: bool = False, cold: bool = False) -> pytest.RunResult:
        """Run pytest.

        Args:
            *args: For it.
            subprocess: Whether to run it in a process of its own; with workers it always is, since xdist would share
                this one's state.
            cold: Whether that process and its workers must be such in which nothing was imported before.
        """
        # The plugins of Hypothesis and anyio import what takes longer than the run.
        everything = [*self.plugin_args, "-p", "no:hypothesispytest", "-p", "no:anyio", *args]
        if not (subprocess or cold or "-n2" in self.plugin_args):
            return self.pytester.runpytest_inprocess(*everything)
        if cold or not self.socket or os.environ["OMP_NUM_THREADS"] != warm.THREADS:
            return self.pytester.runpytest_subprocess(*everything)
        arguments, environment = warm.workers(self.socket)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            # As `runpytest_subprocess` does, with another `python`.
            base = f"--basetemp={self.path / 'basetemp'}"
            workers = arguments if "-n2" in self.plugin_args else []
            return self.pytester.run(*warm.command(self.socket), "-m", "pytest", base, *workers, *everything)

    def run_with_artifacts(self, *args: str, subprocess: bool = False, cold: bool = False) -> pytest.RunResult:
        return self.run("--cam-artifacts=artifacts", *args, subprocess=subprocess, cold=cold)

    def documents(self) -> dict[str, list[dict[str, Any]]]:
        """Return what every attention.json says, by the name of its test, in the order of the folders' numbers."""
        found: dict[str, list[dict[str, Any]]] = {}
        for path in sorted(self.directory.glob("*/attention.json"), key=lambda path: (len(path.parent.name), path)):
            document = json.loads(path.read_text(encoding="utf-8"))
            found.setdefault(document["test"].partition("::")[2], []).append(document | {"folder": path.parent})
        return found


@pytest.fixture
def project(
    pytester: pytest.Pytester, plugin_args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, forks: str
) -> Project:
    # Two workers with two threads each would wait for one another on a small machine.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pytester.makepyfile(spotlight=SPOTLIGHT, conftest=CONFTEST)
    return Project(pytester, plugin_args, forks)
