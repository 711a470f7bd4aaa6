"""Evidence of a failed check, whose map is its image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pytest_cam import AttentionError, attend
from pytest_cam.verdicts.evidence import Evidence


@pytest.fixture
def failure() -> AttentionError:
    """A network that looks at whatever is bright fails on a box that is dark."""
    model = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    photo = torch.zeros(1, 8, 8)
    photo[:, 1:5, 1:5] = 1.0
    attention = attend(model, photo, layer="0", method="gradcam", target=1)
    with pytest.raises(AttentionError) as caught:
        attention.assert_in_region((5, 5, 8, 8))
    return caught.value


@pytest.fixture
def evidence(failure: AttentionError) -> Evidence:
    assert failure.evidence is not None
    return failure.evidence
