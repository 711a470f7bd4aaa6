"""Occlusion against captum, on a small network; where it differs, how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import Occlusion

from pytest_cam.engine.methods.occlusion import occlusion

Trace = Callable[..., Any]


def maps(trace: Any, window: int, stride: int, baseline: float) -> tuple[torch.Tensor, torch.Tensor]:
    ours = occlusion(trace.image, trace.score, trace.score_inputs, window=window, stride=stride, baseline=baseline)
    with torch.no_grad():
        # All channels at once; what it gives is then the same for each of them.
        theirs = Occlusion(trace.network).attribute(
            trace.image, (3, window, window), strides=(3, stride, stride), baselines=baseline, target=trace.target
        )
    # It gives float32 for a network of float64.
    return ours[0], theirs[0, 0].relu().double()


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (4, 2), (3, 3), (12, 5), (5, 1)])
@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_windows_that_fit(traced: Trace, window: int, stride: int, baseline: float) -> None:
    ours, theirs = maps(traced(), window, stride, baseline)
    assert float(theirs.max()) > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_a_last_window_that_does_not_fit_is_cut_off_in_the_peer(traced: Trace) -> None:
    # Windows of 3 by 2 over 12 begin at 0 to 8, and one more is needed: at 10 it is cut off to 2 there, and at 9 it is
    # whole here. Where no such window comes, the maps are the same.
    ours, theirs = maps(traced(), 3, 2, 0.0)
    torch.testing.assert_close(ours[:9, :9], theirs[:9, :9], rtol=1e-5, atol=1e-7)
    assert float((ours - theirs).abs().max()) > 1e-3
