"""A map of known numbers, and a test that runs in a temporary project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pytest_cam import Attention, attend
from pytest_cam.baselines.baseline import Baseline
from pytest_cam.baselines.claiming import BaselineSettings, Claims, RunningTest
from pytest_cam.baselines.model_identity import identity_of

VERSIONS = {"python": "3.12.0", "torch": "2.9"}


def _spotlight() -> nn.Module:
    """Layer "0" passes the image through and class 1 is its mean: the map of "gradcam" there is the image over 64."""
    model = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2, bias=False)
    )
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[3].weight.copy_(torch.tensor([[0.0], [1.0]]))
    return model.eval()


def _photo(columns: int = 0) -> torch.Tensor:
    image = torch.zeros(1, 8, 8)
    image[:, 1:5, 1 + columns : 5 + columns] = 1.0
    return image


@pytest.fixture
def spotlight() -> Callable[[], nn.Module]:
    return _spotlight


@pytest.fixture
def photo() -> Callable[..., torch.Tensor]:
    """The photo, whose bright square may lie some columns to the right."""
    return _photo


@pytest.fixture
def attention() -> Attention:
    return attend(_spotlight(), _photo(), layer="0", method="gradcam", target=1)


@pytest.fixture
def baseline(attention: Attention) -> Baseline:
    return Baseline.of(attention, identity_of(_spotlight()), "test_dogs.py::test_looks", None, VERSIONS)


@pytest.fixture
def running(tmp_path: Path) -> Callable[..., RunningTest]:
    """Make a test that runs: running("test_looks", update="missing")."""
    claims = Claims()

    def make(
        name: str = "test_looks", update: Any = None, variant: object = None, root: Path = tmp_path
    ) -> RunningTest:
        settings = BaselineSettings("attention_baselines", root, tmp_path, update)
        module = tmp_path / "test_dogs.py"
        return RunningTest(f"test_dogs.py::{name}", module, name, settings, lambda: variant, claims)

    return make
