"""A stand-in for the engine that is small enough to follow: scores by a function, in batches of two."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pytest_cam.engine.methods.resources import Make, Scores

Score = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture
def scored() -> Callable[[Score], Scores]:
    """From a function of versions (n, C, H, W) to scores (n,), to what a method is handed."""

    def by(score: Score) -> Scores:
        def scores(count: int, make: Make) -> torch.Tensor:
            spans = [(start, min(start + 2, count)) for start in range(0, count, 2)]
            # Each batch is made twice, as after running out of memory.
            for start, stop in spans:
                assert torch.equal(make(start, stop), make(start, stop))
            return torch.cat([score(make(start, stop)) for start, stop in spans])

        return scores

    return by


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)
