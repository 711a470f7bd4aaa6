"""Inputs with their channels last, which a model fails on: an error of this package's, and only of those."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import attend, attend_batch
from pytest_cam.errors import ImageError


@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_input_with_channels_last_is_named(classifier: nn.Sequential, method: str) -> None:
    words = r"img is a tensor of shape \(8, 8, 3\), and the model fails on it: RuntimeError. Accepted: \(C, H, W\)"
    with pytest.raises(ImageError, match=words):
        attend(classifier, torch.rand(8, 8, 3), method=method)
    with pytest.raises(ImageError, match=words):
        attend_batch(classifier, torch.rand(2, 8, 8, 3), method=method)


def test_other_failures_of_a_model_stay_what_they_are(classifier: nn.Sequential) -> None:
    with pytest.raises(RuntimeError, match="channels"):
        attend(classifier, torch.rand(5, 8, 8), method="gradcam")


def test_model_that_takes_channels_last_is_explained(classifier: nn.Sequential) -> None:
    class Permuted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = classifier

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.inner(images.permute(0, 3, 1, 2))

    image = torch.rand(8, 8, 3)
    found = attend(Permuted().eval(), image, layer="inner.layer", method="gradcam", target=1).map
    expected = attend(classifier, image.permute(2, 0, 1), layer="layer", method="gradcam", target=1).map
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
