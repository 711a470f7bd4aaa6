"""What a release is usually gated by: both candidates pass."""

from __future__ import annotations

import torch
from annotations import AnnotatedPhoto
from network import DigitNet, preprocess
from PIL import Image


def test_photos_are_classified_correctly(model: DigitNet, photos: list[AnnotatedPhoto]) -> None:
    inputs = torch.stack([preprocess(Image.open(photo.path)) for photo in photos])
    labels = torch.tensor([photo.label for photo in photos])
    with torch.inference_mode():
        correct = model(inputs).argmax(dim=1) == labels
    assert correct.float().mean() >= 0.98
