"""Image pixels to input pixels, through what people really preprocess with."""

import random
from collections.abc import Callable
from itertools import cycle

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from PIL import Image
from torchvision.models import ResNet50_Weights
from torchvision.transforms import v2

from pytest_cam.errors import GeometryError, NotAffineError
from pytest_cam.images.found_geometry import geometry_of
from pytest_cam.images.geometry import Geometry

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


LENGTHS, SIDES = (64, 100, 300, 640, 1024, 2048, 3000), (8, 16, 32, 64, 96, 100, 128, 160, 192, 224, 256, 299, 384)


@pytest.mark.parametrize("how", ["NEAREST", "BOX", "BILINEAR", "BICUBIC", "LANCZOS"])
@pytest.mark.parametrize("length", LENGTHS)
def test_plain_resize_sees_the_whole_image_exactly(how: str, length: int) -> None:
    for side in SIDES:
        resized = v1.Compose([lambda image, side=side: image.resize((side, 20), Image.Resampling[how]), v1.ToTensor()])
        assert geometry_of(resized, (length, 12)).seen == pytest.approx((0, 0, length, 12), abs=1e-9), side


@pytest.mark.parametrize("how", ["NEAREST", "BILINEAR", "BICUBIC"])
@pytest.mark.parametrize("length", LENGTHS)
def test_crop_of_one_input_pixel_stays_a_crop(how: str, length: int) -> None:
    for side in SIDES:
        step = length / (side + 2)

        def cropped(image: Image.Image, side: int = side) -> torch.Tensor:
            return v1.functional.to_tensor(
                image.resize((side + 2, 20), Image.Resampling[how]).crop((1, 0, side + 1, 20))
            )

        x1, _, x2, _ = geometry_of(cropped, (length, 12)).seen
        assert (x1, x2) == pytest.approx((step, length - step), abs=0.5 * step), side


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16, torch.float64])
def test_squash_is_found_in_any_precision(precision: torch.dtype) -> None:
    squash = v1.Compose(
        [v1.Resize((64, 64)), v1.ToTensor(), v1.Normalize([0.5] * 3, [0.2] * 3), lambda x: x.to(precision)]
    )
    assert geometry_of(squash, (300, 200)).to_input([(300, 200)])[0] == pytest.approx((64, 64), abs=0.5)


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
    with pytest.raises(GeometryError, match=words) as raised:
        geometry_of(v1.Compose([transform, v1.ToTensor()]), (64, 64))
    # What is random is no use in any coordinates.
    can_follow_in_input = "frame='input'" in str(raised.value)
    assert can_follow_in_input == isinstance(raised.value, NotAffineError) == (words != "random")


@pytest.mark.parametrize("axis", [0, 1], ids=["left and right", "up and down"])
def test_random_generator_of_its_own_is_found_out(axis: int) -> None:
    chances = cycle([False, False, False, True])

    def mirrored_at_times(image: Image.Image) -> torch.Tensor:
        how = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM)[axis]
        return v1.functional.to_tensor(image.transpose(how) if next(chances) else image)

    with pytest.raises(GeometryError, match="the preprocess mirrored_at_times is random"):
        geometry_of(mirrored_at_times, (60, 40))


def test_middle_stays_where_a_turn_is_too_small_to_matter() -> None:
    turned = v1.Compose(
        [lambda image: image.rotate(0.25, Image.Resampling.BILINEAR), v1.CenterCrop(160), v1.ToTensor()]
    )
    assert geometry_of(turned, (224, 224)).matrix == ((1, 0, -32), (0, 1, -32))


def test_trimming_by_content_is_not_affine() -> None:
    def trimmed(image: Image.Image) -> torch.Tensor:
        return v1.functional.to_tensor(image.crop(image.getbbox() or (0, 0, 8, 8)))

    with pytest.raises(NotAffineError, match=r"trimmed gives inputs of different sizes .* the content.*frame"):
        geometry_of(trimmed, (60, 40))


@pytest.mark.parametrize(
    ("transform", "size", "matrix"),
    [
        (lambda image: image, (50, 1), ((1, 0, 0), (0, 1, 0))),
        (lambda image: image, (1, 50), ((1, 0, 0), (0, 1, 0))),
        (lambda image: image, (1, 1), ((1, 0, 0), (0, 1, 0))),
        (v1.Pad((1, 2, 3, 4)), (50, 1), ((1, 0, 1), (0, 1, 2))),
        (v1.Resize((20, 20)), (10, 1), ((2, 0, 0), (0, 20, 0))),
        (v1.Resize((20, 30)), (1, 1), ((30, 0, 0), (0, 20, 0))),
        (lambda image: image.transpose(Image.Transpose.ROTATE_90), (50, 1), ((0, 1, 0), (-1, 0, 50))),
    ],
    ids=["row", "column", "pixel", "padded row", "enlarged row", "enlarged pixel", "turned row"],
)
def test_image_of_one_pixel_across_fills_what_is_no_padding(transform, size: tuple[int, int], matrix) -> None:
    geometry = geometry_of(v1.Compose([transform, v1.ToTensor()]), size)
    assert np.array(geometry.matrix) == pytest.approx(np.array(matrix), abs=0.02)


@pytest.mark.parametrize("side", [32, 3])
def test_small_crop_of_a_large_image_is_found_exactly(side: int) -> None:
    geometry = geometry_of(v1.Compose([v1.CenterCrop(side), v1.ToTensor()]), (2000, 1000))
    assert geometry.matrix == ((1, 0, -round((2000 - side) / 2)), (0, 1, -round((1000 - side) / 2)))


@pytest.mark.parametrize("how", [v1.InterpolationMode.NEAREST, v1.InterpolationMode.BICUBIC], ids=str)
def test_enlarging_is_followed_however_pixels_are_made_up(how: v1.InterpolationMode) -> None:
    geometry = geometry_of(v1.Compose([v1.Resize((224, 224), interpolation=how), v1.ToTensor()]), (32, 56))
    assert np.array(geometry.matrix) == pytest.approx(np.array(((7, 0, 0), (0, 4, 0))), abs=0.5)
    assert geometry.to_input([(32, 56)])[0] == pytest.approx((224, 224), abs=1)


@pytest.mark.parametrize(("dark", "bright"), [(0.4, 1.0), (0.0, 0.7), (0.2, 0.8), (0.45, 0.55)])
def test_window_of_brightness_is_an_error_and_no_wrong_place(dark: float, bright: float) -> None:
    def windowed(image: Image.Image) -> torch.Tensor:
        values = torch.from_numpy(np.asarray(image.resize((40, 30))).copy()).permute(2, 0, 1) / 255
        return ((values - dark) / (bright - dark)).clamp(0, 1)

    with pytest.raises(NotAffineError, match=r"cuts dark or bright values off.* frame='input', or give it a method"):
        geometry_of(windowed, (400, 300))


Stretch = Callable[[torch.Tensor], torch.Tensor]
STRETCHES = [
    lambda x: x / x.max().clamp(min=1e-6),
    lambda x: (x - x.min()) / (x.max() - x.min()) if x.max() > x.min() else x,
]


@pytest.mark.parametrize("stretch", STRETCHES)
def test_stretch_to_what_a_crop_shows_is_an_error_and_no_wrong_place(stretch: Stretch) -> None:
    transform = v1.Compose([v1.Resize(128), v1.CenterCrop(64), v1.ToTensor(), stretch])
    with pytest.raises(NotAffineError, match=r"to a range of its own.* frame='input', or give it a method"):
        geometry_of(transform, (300, 200))


@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("side", [8, 10, 14, 20, 28, 40, 56, 64])
@pytest.mark.parametrize("corner", [False, True], ids=["centre", "corner"])
def test_stretch_is_seen_in_crops_of_any_size(stretch: Stretch, side: int, corner: bool) -> None:
    whole = side + max(side // 8, 2)
    first = 0 if corner else (whole - side) // 2

    def cropped(image: Image.Image) -> torch.Tensor:
        pixels = v1.functional.to_tensor(image.resize((whole, whole)))
        return stretch(pixels[:, first : first + side, first : first + side])

    for size in [(300, 200), (whole, whole), (1600, 30)]:
        with pytest.raises(NotAffineError, match="to a range of its own"):
            geometry_of(cropped, size)


@pytest.mark.parametrize("stretch", STRETCHES)
@pytest.mark.parametrize("side", [28, 64, 224])
def test_stretch_of_the_whole_image_moves_nothing(stretch: Stretch, side: int) -> None:
    squash = v1.Compose([v1.Resize((side, side)), v1.ToTensor(), stretch])
    geometry = geometry_of(squash, (300, 200))
    assert np.array(geometry.matrix) == pytest.approx(np.array(((side / 300, 0, 0), (0, side / 200, 0))), abs=1e-9)


def test_what_hides_where_pixels_go_may_say_it_itself() -> None:
    """Of a plain image, which a probe begins with, nothing is left where each image has a mean of 0."""
    transform = v1.Compose([v1.Resize((40, 30)), v1.ToTensor(), lambda x: (x - x.mean()) / x.std().clamp(min=1e-6)])
    with pytest.raises(NotAffineError, match=r"not grow with brightness.* frame='input', or give it a method cam_"):
        geometry_of(transform, (300, 200))
