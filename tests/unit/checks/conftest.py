"""A model that reads one box and a picture in which that box is lit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

LIT, REST = (2, 2, 6, 6), (8, 8, 14, 14)


class ReadsBox(nn.Module):
    """Two classes whose logits are 0 and 8 m - 4, m being the mean of a box: lit it is read as 1, dark as 0."""

    def __init__(self, box: tuple[int, int, int, int] = LIT) -> None:
        super().__init__()
        self.box = box
        self.calls: list[int] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(inputs))
        x1, y1, x2, y2 = self.box
        mean = inputs[:, :, y1:y2, x1:x2].mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(mean), 8 * mean - 4], dim=1)


@pytest.fixture
def model() -> ReadsBox:
    return ReadsBox()


@pytest.fixture
def image() -> torch.Tensor:
    """16 x 16 pixels: 16 lit ones in LIT, 36 half lit ones in REST, and the others dark."""
    image = torch.zeros(1, 16, 16)
    image[:, 2:6, 2:6] = 1.0
    image[:, 8:14, 8:14] = 0.5
    return image
