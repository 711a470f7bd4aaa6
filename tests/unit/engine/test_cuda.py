"""On a GPU the map is that of the CPU, and the model stays where it is."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import attend

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "hirescam", "layercam", "xgradcam"])
def test_map_is_that_of_the_cpu(method: str, classifier: nn.Sequential, picture: torch.Tensor) -> None:
    expected = attend(classifier, picture, layer="layer", method=method, target=1)
    model = copy.deepcopy(classifier).to("cuda")
    drawn = torch.cuda.get_rng_state()
    found = attend(model, picture, layer="layer", method=method, target=1)
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-3, atol=1e-5)
    assert {parameter.device.type for parameter in model.parameters()} == {"cuda"}
    assert torch.equal(torch.cuda.get_rng_state(), drawn)
