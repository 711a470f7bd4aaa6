"""Image pixels to input pixels, through what people really preprocess with."""

import random

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from PIL import Image
from torchvision.models import ResNet50_Weights
from torchvision.transforms import v2

from pytest_cam.errors import GeometryError, PreprocessError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.probing import geometry_of

PRESETS = {
    "v1": v1.Compose([v1.Resize(256), v1.CenterCrop(224), v1.ToTensor(), v1.Normalize([0.5] * 3, [0.2] * 3)]),
    "v2": v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
    "preset": ResNet50_Weights.IMAGENET1K_V1.transforms(),
}


def _resize_and_crop(width: int, height: int) -> np.ndarray:
    """Resize(256) and CenterCrop(224), from torchvision's own rule for sizes."""
    short = min(width, height)
    new = 256 * width // short, 256 * height // short
    left, top = round((new[0] - 224) / 2), round((new[1] - 224) / 2)
    return np.array([[new[0] / width, 0, -left], [0, new[1] / height, -top]])


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (97, 121), (1920, 1080)])
def test_resize_and_crop_of_torchvision_presets_is_found(preset: str, size: tuple[int, int]) -> None:
    geometry = geometry_of(PRESETS[preset], size)
    matrix = _resize_and_crop(*size)
    corners = np.array([(0, 0), (size[0], 0), (0, size[1]), size], dtype=float)
    off = geometry.to_input(corners) - (corners @ matrix[:, :2].T + matrix[:, 2])
    assert geometry.input_size == (224, 224)
    assert np.abs(off).max() < 0.5


def test_large_photo_is_right_to_an_input_pixel() -> None:
    geometry = geometry_of(PRESETS["v1"], (4000, 3000))
    matrix = _resize_and_crop(4000, 3000)
    corners = np.array([(0, 0), (4000, 3000)], dtype=float)
    assert np.abs(geometry.to_input(corners) - (corners @ matrix[:, :2].T + matrix[:, 2])).max() < 1


@pytest.mark.parametrize(
    ("transform", "matrix", "input_size"),
    [
        (lambda image: image, ((1, 0, 0), (0, 1, 0)), (60, 40)),
        (v1.Pad((10, 20, 30, 40)), ((1, 0, 10), (0, 1, 20)), (100, 100)),
        (v1.Pad(8, fill=255), ((1, 0, 8), (0, 1, 8)), (76, 56)),
        (v1.CenterCrop((20, 30)), ((1, 0, -15), (0, 1, -10)), (30, 20)),
        (v1.Grayscale(), ((1, 0, 0), (0, 1, 0)), (60, 40)),
        (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), ((-1, 0, 60), (0, 1, 0)), (60, 40)),
        (lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM), ((1, 0, 0), (0, -1, 40)), (60, 40)),
        (lambda image: image.transpose(Image.Transpose.ROTATE_90), ((0, 1, 0), (-1, 0, 60)), (40, 60)),
    ],
    ids=["nothing", "pad", "white pad", "crop", "grayscale", "mirror", "upside down", "quarter turn"],
)
def test_whole_pixel_moves_are_found_exactly(transform, matrix, input_size: tuple[int, int]) -> None:
    geometry = geometry_of(v1.Compose([transform, v1.ToTensor()]), (60, 40))
    assert geometry.input_size == input_size
    assert np.array(geometry.matrix) == pytest.approx(np.array(matrix), abs=1e-9)


def test_squash_is_found_with_a_scale_for_each_axis() -> None:
    geometry = geometry_of(v1.Compose([v1.Resize((224, 224)), v1.ToTensor()]), (448, 112))
    assert geometry.matrix[0][0] == pytest.approx(0.5, abs=2e-3)
    assert geometry.matrix[1][1] == pytest.approx(2.0, abs=5e-3)


def test_channel_order_and_value_range_do_not_matter() -> None:
    def bgr_in_bytes(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image)[:, :, ::-1].copy()).permute(2, 0, 1).float()

    assert geometry_of(bgr_in_bytes, (30, 20)) == Geometry.identity((30, 20))


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (v1.RandomResizedCrop(32), "random"),
        (v1.RandomHorizontalFlip(), "random"),
        (v1.ColorJitter(0.5), "random"),
        (lambda image: image.rotate(random.choice([0, 90])), "random"),
        (lambda image: image.rotate(30), "right angles"),
        (lambda image: image.transform(image.size, Image.Transform.QUAD, (0, 0, 9, 64, 64, 64, 30, 0)), "not affine"),
        (lambda image: Image.new("RGB", (8, 8)), "cannot be found"),
    ],
    ids=["crop", "mirror", "colour", "python's random", "turn", "warp", "constant"],
)
def test_what_boxes_cannot_follow_is_an_error(transform, words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        geometry_of(v1.Compose([transform, v1.ToTensor()]), (64, 64))


@pytest.mark.parametrize("output", [None, torch.zeros(3, 4), torch.zeros(2, 3, 4, 4), torch.zeros(3, 4, 4).byte(), 3])
def test_preprocess_that_returns_no_input_is_named(output: object) -> None:
    def broken(image: Image.Image) -> object:
        return output

    with pytest.raises(PreprocessError, match=r"preprocess broken returned a .*\(C, H, W\)"):
        geometry_of(broken, (8, 8))


def test_geometry_is_found_once_for_each_size() -> None:
    runs = []

    def counted(image: Image.Image) -> torch.Tensor:
        runs.append(image.size)
        return v1.functional.to_tensor(image)

    geometry_of(counted, (8, 8))
    first = len(runs)
    geometry_of(counted, (8, 8))
    assert len(runs) == first
    geometry_of(counted, (9, 8))
    assert len(runs) > first
    assert runs[-1] == (9, 8)


def test_way_back_is_the_inverse() -> None:
    geometry = Geometry((100, 50), (40, 40), ((0.5, 0.0, -5.0), (0.0, 1.0, -4.0)))
    assert geometry.to_image(geometry.to_input([(10.0, 20.0)])).tolist() == [[10.0, 20.0]]
    assert geometry.seen == (10.0, 4.0, 90.0, 44.0)
    assert geometry.cell_in_image((4, 8)) == pytest.approx((10.0, 10.0))


def test_quarter_turn_carries_points_and_boxes() -> None:
    turned = Geometry((60, 40), (40, 60), ((0.0, 1.0, 0.0), (-1.0, 0.0, 60.0)))
    assert turned.to_input([(10.0, 5.0)]).tolist() == [[5.0, 50.0]]
    assert turned.to_image([(5.0, 50.0)]).tolist() == [[10.0, 5.0]]
    assert turned.rectangle_to_input((10.0, 5.0, 20.0, 9.0)) == (5.0, 40.0, 9.0, 50.0)
