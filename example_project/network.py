"""A small convolutional classifier of digits, and its preprocessing."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torchvision.transforms import v2

WEIGHTS = Path(__file__).parent / "weights"

preprocess = v2.Compose(
    [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25]),
    ]
)


class DigitNet(nn.Module):
    """Five convolutions, global average pooling and a linear layer; 64x64 photos give 16x16 feature maps."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_block(3, 24, stride=2),
            conv_block(24, 32, stride=1),
            conv_block(32, 48, stride=2),
            conv_block(48, 64, stride=1),
            conv_block(64, 96, stride=1),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, classes))

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        """Return the class logits of a batch of preprocessed photos."""
        logits: torch.Tensor = self.head(self.features(photos))
        return logits


def conv_block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return a 3x3 convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def load(name: str) -> DigitNet:
    """Return the trained network of that name, "honest" or "shortcut", in evaluation mode."""
    net = DigitNet()
    net.load_state_dict(torch.load(WEIGHTS / f"{name}.pt", map_location="cpu", weights_only=True))
    return net.eval()
