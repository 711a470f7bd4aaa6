"""What a baseline is of, and what makes it one of something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pytest_cam import Attention, attend
from pytest_cam.baselines.baseline import Baseline
from pytest_cam.baselines.model_identity import ModelIdentity
from pytest_cam.images.geometry import Geometry


def halved(
    image: tuple[int, int] = (20, 10),
    inputs: tuple[int, int] = (10, 5),
    x: float = 0.5,
    y: float = 0.5,
    down: float = 0,
) -> dict[str, Any]:
    return {"geometry": Geometry(image, inputs, ((x, 0.0, 0.0), (0.0, y, down)))}


def brighter(baseline: Baseline, by: int) -> dict[str, Any]:
    """Return the image's mean colours with one of 192 numbers changed."""
    thumbnail = baseline.thumbnail.copy()
    thumbnail[0, 0] += by
    return {"thumbnail": thumbnail}


@pytest.mark.parametrize(
    ("kept", "now", "words"),
    [
        ({}, {"layer_call": 2}, "run of the layer: 1 in the baseline, 2 now"),
        ({}, {"map": np.ones((4, 8))}, "grid: 8 x 8 in the baseline, 4 x 8 now"),
        ({}, halved(image=(22, 10)), "image size: 20 x 10 in the baseline, 22 x 10 now"),
        ({}, halved(inputs=(10, 6)), "input size: 10 x 5 in the baseline, 10 x 6 now"),
        # Of 20 x 10 pixels the far corner moves by 20 * 0.03, by 10 * 0.06, or with the whole image.
        ({}, halved(x=0.53), "geometry: the preprocess puts the image's corners 0.6 input pixels from where they were"),
        ({}, halved(y=0.56), "geometry: the preprocess puts the image's corners 0.6 input pixels from where they were"),
        (
            {},
            halved(down=-3),
            "geometry: the preprocess puts the image's corners 3.0 input pixels from where they were",
        ),
        ({}, halved(down=0.5), ""),
        ({"target": 1, "target_name": "dog"}, {"target": 2, "target_name": "cat"}, 'class 1 "dog" in the baseline, cl'),
        ({"target": 1, "target_name": "dog"}, {"target": 1, "target_name": "Hund"}, ""),
        (
            {"target": None, "target_name": "a"},
            {"target": None, "target_name": "b"},
            "target: a in the baseline, b now",
        ),
        ({"target": None, "target_name": "a"}, {"target": None, "target_name": "a"}, ""),
        ({"image_range": (0.0, 1.0)}, {"image_range": None}, "values from 0 to 1 in the baseline, of a picture now"),
        ({"image_range": None}, {"image_range": (0.0, 1.0)}, "values of a picture in the baseline, from 0 to 1 now"),
        ({"image_range": None}, {"image_range": None}, ""),
        ({"image_range": (0.0, 1.0)}, {"image_range": (0.0, 1.02)}, ""),
        (
            {"image_range": (0.0, 1.0)},
            {"image_range": (0.0, 1.03)},
            "image: values from 0 to 1 in the baseline, from 0",
        ),
        (
            {"image_range": (0.0, 1.0)},
            {"image_range": (-0.03, 1.0)},
            "image: values from 0 to 1 in the baseline, from -",
        ),
        # An even image has no range, so its value is what 2 % are of.
        ({"image_range": (1.0, 1.0)}, {"image_range": (1.01, 1.01)}, ""),
        ({"image_range": (1.0, 1.0)}, {"image_range": (1.05, 1.05)}, "image: values from 1 to 1 in the baseline"),
    ],
)
def test_baseline_of_something_else_is_told_by_what_differs(baseline: Baseline, kept, now, words: str) -> None:
    of = replace(baseline, **(halved() | kept))
    found = list(of.mismatches(replace(of, **now)))
    assert len(found) == (1 if words else 0)
    assert words in "".join(found)


def test_other_image_is_told_by_one_part_that_differs(baseline: Baseline) -> None:
    assert list(baseline.mismatches(replace(baseline, **brighter(baseline, 3)))) == []
    (found,) = baseline.mismatches(replace(baseline, **brighter(baseline, 4)))
    assert found.endswith("whose mean colours differ by up to 4 of 255")


def test_baseline_of_a_photo_has_its_geometry_and_no_range(spotlight: Callable[[], nn.Module]) -> None:
    def left_half(image: Image.Image) -> torch.Tensor:
        cropped = image.crop((0, 0, image.width // 2, image.height))
        return torch.from_numpy(np.array(cropped, dtype=np.float32) / 255)[None, :, :, 0]

    photo = Image.new("RGB", (64, 16), (90, 90, 90))
    seen: Attention = attend(spotlight(), photo, layer="0", method="gradcam", target=1, preprocess=left_half)
    baseline = Baseline.of(seen, ModelIdentity(None, None), "test_dogs.py::test_looks", None, {})
    assert baseline.geometry == Geometry((64, 16), (32, 16), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    assert baseline.image_range is None
    assert baseline.thumbnail.tolist() == [[90] * 24] * 8
