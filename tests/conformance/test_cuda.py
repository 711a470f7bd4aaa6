"""On a GPU each check has the verdict that it has on the CPU, of trained networks."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pytest_cam import AttentionError, EmptyMapError

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(ROOT / "example_project"))
    return importlib.import_module("verdicts")


@pytest.mark.parametrize("name", ["honest", "shortcut"])
def test_each_check_has_the_verdict_of_the_cpu(verdicts: ModuleType, name: str) -> None:
    verdicts.PHOTOS = 3
    (subject,) = (each for each in verdicts.subjects() if each.name == name)

    def verdict(check, net, photo) -> str:
        try:
            check(net, photo)
        except (AttentionError, EmptyMapError) as error:
            return type(error).__name__
        return "passed"

    for title, check in verdicts.checks().items():
        on_cpu = [verdict(check, subject.net, photo) for photo in subject.photos]
        on_gpu = [verdict(check, subject.net.to("cuda"), photo) for photo in subject.photos]
        subject.net.to("cpu")
        assert on_gpu == on_cpu, title
