"""The random generators, and putting them back."""

from __future__ import annotations

import pytest
import torch

from pytest_cam.randomness import RandomState


def test_generator_of_apples_mps_is_put_back_and_what_was_drawn_from_it_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(3)  # of the CPU, in its place
    monkeypatch.setattr(torch.mps, "get_rng_state", generator.get_state)
    monkeypatch.setattr(torch.mps, "set_rng_state", generator.set_state)

    with RandomState(torch.device("mps")) as state:
        first = torch.rand(4, generator=generator)
        assert not state.is_current()

    assert state.is_current()
    assert torch.equal(torch.rand(4, generator=generator), first)
