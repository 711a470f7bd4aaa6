"""Box corners through the preprocesses of other libraries, against closed forms from those libraries' own rules.

Each preprocess stands with its exact matrix: for sizes the rule of its documentation, for everything else arithmetic on
pixel edges. Nothing here is taken from pytest-cam's own geometry.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import timm.data
import torch
import torchvision.transforms as v1
from PIL import Image
from torchvision.transforms import v2
from transformers import CLIPImageProcessor, ConvNextImageProcessor, ViTImageProcessor

from pytest_cam.errors import GeometryError
from pytest_cam.images.applying import apply
from pytest_cam.images.found_geometry import geometry_of

# It would ask the network for a newer version of itself.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import albumentations as A  # noqa: N812  (after the line above; its own documentation calls it so)
from albumentations.pytorch import ToTensorV2

Matrix = np.ndarray
Exact = Callable[[int, int], Matrix]


def matrix(scale_x: float, scale_y: float, left: float = 0.0, top: float = 0.0) -> Matrix:
    return np.array([[scale_x, 0, -left], [0, scale_y, -top], [0, 0, 1]])


def squash(width: int, height: int) -> Exact:
    return lambda w, h: matrix(width / w, height / h)


def shortest_to(short: int) -> Callable[[int, int], tuple[int, int]]:
    """The size after torchvision's Resize(short): the longer side is cut to a whole number."""
    return lambda w, h: (short, int(short * h / w)) if w <= h else (int(short * w / h), short)


def resize_and_crop(short: int, crop: int) -> Exact:
    def exact(w: int, h: int) -> Matrix:
        new = shortest_to(short)(w, h)
        return matrix(new[0] / w, new[1] / h, (new[0] - crop) / 2, (new[1] - crop) / 2)

    return exact


def centred(length: int, crop: int) -> int:
    """Where torchvision's CenterCrop begins: what is too short is padded first, with the odd pixel at the end."""
    return round((length - crop) / 2) if length >= crop else -((crop - length) // 2)


def longest_to_and_pad(side: int) -> Exact:
    def exact(w: int, h: int) -> Matrix:
        new = round(w * side / max(w, h)), round(h * side / max(w, h))
        return matrix(new[0] / w, new[1] / h, -(side - new[0]) / 2, -(side - new[1]) / 2)

    return exact


def mirrored(exact: Exact, width: int) -> Exact:
    return lambda w, h: np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]]) @ exact(w, h)


def upside_down(exact: Exact, height: int) -> Exact:
    return lambda w, h: np.array([[1, 0, 0], [0, -1, height], [0, 0, 1]]) @ exact(w, h)


def turned(exact: Exact, width: int) -> Exact:
    """A quarter turn counterclockwise of an input `width` wide: (x, y) goes to (y, width - x)."""
    return lambda w, h: np.array([[0, 1, 0], [-1, 0, width], [0, 0, 1]]) @ exact(w, h)


def with_opencv(array: np.ndarray) -> np.ndarray:
    """As many write it by hand: from an array, to an array in float64 with its channels last."""
    import cv2

    small = cv2.resize(array, (320, 240), interpolation=cv2.INTER_AREA)
    return (small[:, ::-1] / 255.0 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)


def halves(size: tuple[int, int]) -> tuple[int, int]:
    return max(size[0] // 2, 1), max(size[1] // 2, 1)


FLOAT = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
NORMALIZE = v1.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

PREPROCESSES: dict[str, tuple[Any, Exact]] = {
    "torchvision v1, resize and crop": (
        v1.Compose([v1.Resize(256), v1.CenterCrop(224), v1.ToTensor(), NORMALIZE]),
        resize_and_crop(256, 224),
    ),
    "torchvision v1, padding": (
        v1.Compose([v1.Pad((10, 20, 30, 40), fill=128), v1.ToTensor(), NORMALIZE]),
        lambda w, h: matrix(1, 1, -10, -20),
    ),
    "torchvision v1, crop only": (
        v1.Compose([v1.CenterCrop(150), v1.ToTensor()]),
        lambda w, h: matrix(1, 1, centred(w, 150), centred(h, 150)),
    ),
    "torchvision v2, squash": (v2.Compose([v2.Resize((200, 300)), FLOAT]), squash(300, 200)),
    "torchvision v2, mirror": (
        v2.Compose([v2.Resize((224, 224)), v2.RandomHorizontalFlip(p=1.0), FLOAT]),
        mirrored(squash(224, 224), 224),
    ),
    "torchvision v2, upside down": (
        v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.RandomVerticalFlip(p=1.0), FLOAT]),
        upside_down(resize_and_crop(256, 224), 224),
    ),
    "PIL, quarter turn": (
        lambda image: v1.functional.to_tensor(image.resize((280, 210)).transpose(Image.Transpose.ROTATE_90)),
        turned(squash(280, 210), 280),
    ),
    "PIL, reduced": (
        lambda image: v1.functional.to_tensor(image.resize(halves(image.size), Image.Resampling.BILINEAR)),
        lambda w, h: matrix(halves((w, h))[0] / w, halves((w, h))[1] / h),
    ),
    "OpenCV, mirror": (with_opencv, mirrored(squash(320, 240), 320)),
    "timm, resize and crop": (
        timm.data.create_transform((3, 224, 224), is_training=False, crop_pct=0.9, interpolation="bicubic"),
        resize_and_crop(248, 224),
    ),
    "timm, border": (
        timm.data.create_transform((3, 224, 224), is_training=False, crop_pct=1.0, crop_mode="border"),
        longest_to_and_pad(224),
    ),
    "transformers, ViT": (ViTImageProcessor(), squash(224, 224)),
    "transformers, CLIP": (CLIPImageProcessor(), resize_and_crop(224, 224)),
    "transformers, ConvNext": (ConvNextImageProcessor(size={"shortest_edge": 224}), resize_and_crop(256, 224)),
    "albumentations, squash": (
        A.Compose([A.Resize(256, 320), A.Normalize(), ToTensorV2()]),
        squash(320, 256),
    ),
    "albumentations, letterbox": (
        A.Compose([A.LongestMaxSize(320), A.PadIfNeeded(320, 320), A.Normalize()]),
        longest_to_and_pad(320),
    ),
}


def worst_corner(preprocess: Any, exact: Exact, width: int, height: int, draw: random.Random) -> float:
    """The largest error in input pixels over the corners of the image and of a box that is visible."""
    geometry = geometry_of(preprocess, (width, height))
    truth = exact(width, height)
    back = np.linalg.inv(truth)
    edges = [sorted(draw.uniform(0, length) for _ in range(2)) for length in geometry.input_size]
    box = np.array([[edges[0][0], edges[1][0], 1], [edges[0][1], edges[1][1], 1]]) @ back.T
    seen = np.array([[0, 0, 1], [*geometry.input_size, 1]]) @ back.T
    corners = np.vstack([box, seen])[:, :2].clip(0, (width, height))
    expected = np.column_stack([corners, np.ones(len(corners))]) @ truth.T
    return float(np.abs(geometry.to_input(corners) - expected[:, :2]).max())


@pytest.mark.parametrize("name", PREPROCESSES)
@pytest.mark.parametrize("size", [(500, 375), (33, 500), (1280, 720)], ids=str)
def test_box_corners_are_right_to_an_input_pixel(name: str, size: tuple[int, int]) -> None:
    assert worst_corner(*PREPROCESSES[name], *size, random.Random(0)) < 1


def random_sizes(draw: random.Random, count: int) -> list[tuple[int, int]]:
    """Widths to 4000 and heights to 3000: half of them spread by magnitude, from 33 on, and half evenly."""
    sizes = [(33, 500), (500, 33), (4000, 3000), (3000, 4000)]
    while len(sizes) < count:
        sizes.append((round(33 * (4000 / 33) ** draw.random()), round(33 * (3000 / 33) ** draw.random())))
        sizes.append((draw.randint(33, 4000), draw.randint(33, 3000)))
    return sizes


@pytest.mark.sweep
def test_box_corners_are_right_to_an_input_pixel_in_300_random_cases(
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    draw = random.Random(20)
    found = []
    for index, (width, height) in enumerate(random_sizes(draw, 300)):
        name = list(PREPROCESSES)[index % len(PREPROCESSES)]
        off = worst_corner(*PREPROCESSES[name], width, height, draw)
        found.append((off, f"{name} at {width} x {height}"))
    assert len(found) == 300
    worst, where = max(found)
    record_testsuite_property("worst corner", f"{worst:.2f} input pixels, {where}")
    assert worst < 1, where


@pytest.mark.parametrize("name", [name for name in PREPROCESSES if not name.startswith("OpenCV")])
def test_input_is_what_the_library_itself_makes(name: str) -> None:
    preprocess = PREPROCESSES[name][0]
    image = Image.effect_noise((90, 60), 80).convert("RGB")
    if name.startswith("transformers"):
        expected = preprocess(images=image, return_tensors="pt")["pixel_values"][0]
    elif name.startswith("albumentations"):
        expected = preprocess(image=np.array(image))["image"]
        expected = expected if isinstance(expected, torch.Tensor) else torch.from_numpy(expected).permute(2, 0, 1)
    else:
        expected = preprocess(image)
    assert torch.equal(apply(preprocess, image), expected)


@pytest.mark.parametrize(
    "preprocess",
    [
        A.Compose([A.HorizontalFlip(p=0.5), A.Normalize(), ToTensorV2()]),
        A.Compose([A.RandomCrop(32, 32), A.Normalize(), ToTensorV2()]),
        timm.data.create_transform((3, 32, 32), is_training=True),
        v2.Compose([v2.RandomResizedCrop(32), FLOAT]),
    ],
    ids=["albumentations, flip", "albumentations, crop", "timm, training", "torchvision v2"],
)
@pytest.mark.parametrize("size", [(64, 48), (2400, 1800)], ids=str)
def test_augmentation_is_found_out(preprocess: Any, size: tuple[int, int]) -> None:
    with pytest.raises(GeometryError, match="is random: two runs on one image differ"):
        geometry_of(preprocess, size)


@pytest.mark.parametrize("name", ["transformers, ViT", "transformers, CLIP", "albumentations, squash", "timm, border"])
@pytest.mark.parametrize("size", [(40, 1), (1, 40), (3, 40), (40, 2)], ids=str)
def test_images_a_few_pixels_across_are_followed(name: str, size: tuple[int, int]) -> None:
    preprocess, exact = PREPROCESSES[name]
    geometry = geometry_of(preprocess, size)
    centre = np.array([[size[0] / 2, size[1] / 2]])
    expected = np.array([*centre[0], 1]) @ exact(*size).T
    assert geometry.to_input(centre)[0] == pytest.approx(expected[:2], abs=1)
