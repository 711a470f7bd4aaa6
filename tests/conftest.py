"""What all tests share.

pytester forgets what is imported during an in-process run, and libraries with compiled parts cannot be loaded twice in
one process: those that such runs use are imported here, before the first of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import cv2  # noqa: F401  (see above)
import hypothesis
import numpy.random  # noqa: F401  (see above)
import pytest
import torch
import torchvision  # noqa: F401  (see above)

import pytest_cam.checks.bound
import pytest_cam.reporting.artifacts  # noqa: F401  (so that its classes are the same ones in every run)
from pytest_cam.engine.model.state import ModelState
from tests.forked import warm

pytest_plugins = ["pytester"]

# How long an example takes says more of what else the machine does than of the code; and a red run must come again.
hypothesis.settings.register_profile("project", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("project")


@pytest.fixture(params=[("-p", "no:xdist"), ("-n0",), ("-n2",)], ids=["plain", "n0", "n2"])
def plugin_args(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The three ways in which every integration test runs: without xdist, with it idle, and with two workers."""
    args: tuple[str, ...] = request.param
    return args


@pytest.fixture
def seeded() -> Iterator[None]:
    """Random weights that are the same in each run, of whatever tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a server that forks; empty where processes cannot."""
    if not hasattr(os, "fork"):
        yield ""
        return
    with warm.server(tmp_path_factory.mktemp("warm")) as path:
        yield path


@pytest.fixture
def python(forks: str) -> list[str]:
    """What stands for `python` in a command (with -c or -m): one that has torch and pytest imported, if there can be.

    It has one thread. Tests of what is imported take a Python of their own.
    """
    return warm.command(forks) if forks else [sys.executable]


@pytest.fixture
def run_on(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Return what models are run on during the test; a hook that saw it would be code of the user's."""
    seen: list[torch.Tensor] = []
    run = ModelState.run

    def watched(state: ModelState, inputs: torch.Tensor, /, *args: Any, **kwargs: Any) -> Any:
        seen.append(inputs)
        return run(state, inputs, *args, **kwargs)

    monkeypatch.setattr(ModelState, "run", watched)
    return seen
