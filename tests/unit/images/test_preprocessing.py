"""From the user's image to the model's input."""

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from PIL import Image
from torch.overrides import TorchFunctionMode
from torchvision import tv_tensors
from torchvision.transforms import v2

from pytest_cam.errors import GeometryError, NotAffineError, PreprocessError, RegionError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.preprocessing import prepare

PHOTO = Image.new("RGB", (12, 8), (10, 20, 30))


class OnCpu(torch.Tensor):
    """What a copy to the CPU gives, and all that is made of it."""


class WithoutDoubles(TorchFunctionMode):
    """Takes tensors for those of a device that has no float64, as Apple's MPS, until they are copied to the CPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.double and not isinstance(args[0], OnCpu):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        result = func(*args, **(kwargs or {}))
        return result.as_subclass(OnCpu) if func is torch.Tensor.cpu else result


def test_image_without_a_preprocess_is_an_error_that_shows_how() -> None:
    with pytest.raises(PreprocessError) as raised:
        prepare(PHOTO, None)
    for word in ("img (PIL image) is none", "preprocess=weights.transforms()", "cam_preprocess", "conftest.py"):
        assert word in str(raised.value)


def test_tensor_is_not_preprocessed() -> None:
    tensor = torch.rand(3, 4, 6)
    prepared = prepare(tensor, lambda image: torch.zeros(3, 1, 1))
    assert prepared.tensor is tensor
    assert prepared.geometry == Geometry.identity((6, 4))


def test_image_goes_through_the_preprocess() -> None:
    prepared = prepare(np.array(PHOTO), v1.Compose([v1.Pad(2), v1.ToTensor()]))
    assert prepared.tensor.shape == (3, 12, 16)
    assert prepared.geometry.matrix == ((1.0, 0.0, 2.0), (0.0, 1.0, 2.0))
    assert prepared.source.size == (12, 8)


def test_preprocess_may_put_its_output_on_a_device_without_float64() -> None:
    def preprocess(image: Image.Image) -> torch.Tensor:
        return v1.functional.to_tensor(image)

    with WithoutDoubles():
        prepared = prepare(PHOTO, preprocess)

    assert prepared.geometry.matrix == ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def test_batch_dimension_of_one_is_taken_off() -> None:
    assert prepare(PHOTO, lambda image: v1.functional.to_tensor(image)[None]).tensor.shape == (3, 8, 12)


def test_preprocess_may_draw_on_what_it_gets() -> None:
    def blackened(image: Image.Image) -> torch.Tensor:
        before = v1.functional.to_tensor(image)
        image.paste((0, 0, 0), (0, 0, 12, 8))
        return before

    assert prepare(PHOTO, blackened).source.rgb()[0, 0].tolist() == [10, 20, 30]


def test_preprocess_that_depends_on_the_content_is_an_error() -> None:
    def dark_is_cropped(image: Image.Image) -> torch.Tensor:
        colours = image.getcolors(maxcolors=1)
        cropped = image.crop((0, 0, 4, 4)) if colours and colours[0][1] == (10, 20, 30) else image
        return v1.functional.to_tensor(cropped)

    with pytest.raises(NotAffineError, match="depends on the content"):
        prepare(PHOTO, dark_is_cropped)
    assert prepare(PHOTO, dark_is_cropped, "input").source.size == (4, 4)


def test_preprocess_that_cannot_be_called_is_named() -> None:
    with pytest.raises(PreprocessError, match=r"preprocess is an int.*callable"):
        prepare(PHOTO, 3)  # type: ignore[arg-type]  # what a user may do


def bent_downwards(image: Image.Image) -> torch.Tensor:
    bent = np.array(image.resize((60, 40)))[(np.arange(40) ** 3 // 1600)[:, None], np.arange(60)]
    return v1.functional.to_tensor(bent)


def test_input_stands_for_an_image_that_cannot_be_followed() -> None:
    with pytest.raises(NotAffineError, match=r"not affine.*Pass the region in input pixels, with frame='input'"):
        prepare(PHOTO, bent_downwards)
    prepared = prepare(PHOTO, bent_downwards, "input")
    assert prepared.source.size == (60, 40)
    assert prepared.source.name == "PIL image"
    assert prepared.geometry == Geometry.identity((60, 40))
    assert prepared.source.rgb().shape == (40, 60, 3)
    assert (prepared.source.rgb().min(), prepared.source.rgb().max()) == (0, 255)


def test_image_that_can_be_followed_stays_the_image_in_either_frame() -> None:
    padded = v1.Compose([v1.Pad(2), v1.ToTensor()])
    assert prepare(PHOTO, padded, "input").geometry == prepare(PHOTO, padded).geometry
    assert prepare(PHOTO, padded, "input").source.size == (12, 8)


def test_random_preprocess_is_an_error_in_either_frame() -> None:
    for frame in ("image", "input"):
        with pytest.raises(GeometryError, match="is random"):
            prepare(PHOTO, v1.Compose([v1.RandomHorizontalFlip(), v1.ToTensor()]), frame)


def test_frame_that_does_not_exist_is_named_before_anything_runs() -> None:
    with pytest.raises(RegionError, match="frame is 'photo'"):
        prepare("absent.png", None, "photo")  # type: ignore[arg-type]  # what a user may do


def test_image_of_torchvision_goes_through_the_preprocess() -> None:
    image = tv_tensors.Image(PHOTO)
    for preprocess in (v1.ToTensor(), v2.ToDtype(torch.float32, scale=True)):
        prepared = prepare(image, preprocess)
        assert torch.allclose(prepared.tensor, v1.functional.to_tensor(PHOTO))
        assert prepared.geometry == Geometry.identity((12, 8))
