from __future__ import annotations

import pytest
import torch

from pytest_cam.engine.methods.random_map import random_map


def test_map_is_uniform_noise_on_the_grid(generator: torch.Generator) -> None:
    found = random_map(torch.zeros(2, 3, 50, 60), generator)
    assert found.shape == (2, 50, 60)
    assert float(found.min()) >= 0
    assert float(found.max()) < 1
    assert float(found.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(found.var()) == pytest.approx(1 / 12, rel=0.05)


def test_map_depends_on_the_seed_alone() -> None:
    first, again, other = (
        random_map(torch.full((1, 2, 4, 4), float(i)), torch.Generator().manual_seed(seed))
        for i, seed in enumerate([5, 5, 6])
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
