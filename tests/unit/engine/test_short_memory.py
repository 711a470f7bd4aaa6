"""Models that run out of memory when methods run them on many inputs at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import attend
from pytest_cam.errors import MemoryShortError


class Hungry(nn.Module):
    """Asks the allocator for more than there is when it gets more than so many images at once."""

    def __init__(self, body: nn.Module, most: int) -> None:
        super().__init__()
        self.body, self.most = body, most
        self.runs: list[int] = []

    def forward(self, images: torch.Tensor) -> Any:
        self.runs.append(len(images))
        if len(images) > self.most:
            torch.empty(2**50)
        return self.body(images)


@pytest.mark.parametrize(
    ("method", "as_callable"),
    [("scorecam", False), ("rise", False), ("rise", True), ("occlusion", False), ("occlusion", True)],
)
def test_batches_shrink_where_the_model_runs_out_of_memory(
    classifier: nn.Sequential, picture: torch.Tensor, method: str, as_callable: bool
) -> None:
    model = Hungry(classifier, most=3).eval()
    options: dict[str, Any] = {"rise": {"masks": 10, "cells": 4}, "occlusion": {"window": 5}}.get(method, {})
    layer: dict[str, Any] = {"layer": "body.layer"} if method == "scorecam" else {}
    plain = {"layer": "layer"} if method == "scorecam" else {}
    expected = attend(classifier, picture, method=method, target=1, method_options=options, **plain)
    given: Any = (lambda images: model(images)) if as_callable else model
    found = attend(given, picture, method=method, target=1, method_options=options, **layer)
    # Masked scores differ by rounding only, and they are small differences of scores.
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-3, atol=1e-7)
    tried = [run for run in model.runs if run > 3]
    assert tried, "no batch was too large, so this shows nothing"
    assert tried == sorted(tried, reverse=True)
    assert max(model.runs[model.runs.index(tried[-1]) + 1 :]) > 1, "one at a time is more than is needed"


def test_memory_that_is_too_short_for_one_is_named(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    class Exhausted(Hungry):
        def forward(self, images: torch.Tensor) -> Any:
            # The pass of the image itself is the first.
            self.most = 1 if not self.runs else 0
            return super().forward(images)

    model = Exhausted(classifier, most=1).train()
    model.body.eval()
    said = r"memory ran out with one of the inputs of scorecam at a time, .*What the allocator said: .*can't allocate"
    with pytest.raises(MemoryShortError, match=said) as caught:
        attend(model, picture, layer="body.layer", method="scorecam")
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert isinstance(caught.value, MemoryError)
    assert model.runs[0] == 1
    assert model.runs[-1] == 1
    assert model.training
    assert not model.body.training, "the flags are the ones of before"
    assert not model.body.layer._forward_hooks
