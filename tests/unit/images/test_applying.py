"""What a preprocess may take and give, and what is said of everything else."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from PIL import Image
from torchvision import tv_tensors
from torchvision.models import ResNet18_Weights
from torchvision.transforms import v2

from pytest_cam.errors import PreprocessError
from pytest_cam.images.applying import apply

PHOTO = Image.effect_noise((12, 8), 90).convert("RGB")
EXPECTED = v1.functional.to_tensor(PHOTO)


class Processor:
    """Looks like an image processor of Hugging Face's transformers."""

    model_input_names = ["pixel_values"]  # noqa: RUF012  (as theirs is)

    def __call__(self, images: Image.Image, return_tensors: str | None = None) -> dict[str, torch.Tensor]:
        assert return_tensors == "pt"
        return {"pixel_values": v1.functional.to_tensor(images)[None]}


class Transform:
    """Looks like a transform of albumentations."""

    available_keys = frozenset({"image", "mask"})

    def __call__(self, *, image: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": (image / 255).astype(np.float32)}


@pytest.mark.parametrize(
    "preprocess",
    [
        v1.ToTensor(),
        lambda image: v1.functional.to_tensor(image)[None],
        lambda image: [v1.functional.to_tensor(image)],
        lambda image: v1.functional.to_tensor(image).numpy(),
        lambda image: v1.functional.to_tensor(image).numpy()[None],
        lambda image: np.array(image) / 255,
        lambda image: {"pixel_values": [v1.functional.to_tensor(image)]},
        lambda array: array.astype(np.float32) / 255,
        lambda array: torch.from_numpy(array[:, :, ::1] / np.float32(255)).permute(2, 0, 1),
        v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
        v2.ToDtype(torch.float32, scale=True),
        v1.ConvertImageDtype(torch.float32),
        Processor(),
        Transform(),
    ],
    ids=[
        "tensor",
        "batch of one",
        "list of one",
        "array",
        "array, batch of one",
        "array, channels last",
        "dictionary",
        "takes an array",
        "takes an array, gives a tensor",
        "v2",
        "v2, takes a tensor",
        "v1, takes a tensor",
        "transformers",
        "albumentations",
    ],
)
def test_one_image_is_found_in_whatever_is_given(preprocess: Callable[..., Any]) -> None:
    for _ in range(2):
        given = apply(preprocess, PHOTO)
        assert type(given) is torch.Tensor
        assert torch.allclose(given.float(), EXPECTED)


def test_preprocess_with_weights_gives_an_input_without_a_gradient() -> None:
    scale = torch.nn.Parameter(torch.ones(()))
    assert not apply(lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1) * scale, PHOTO).requires_grad


def test_arrays_are_given_as_float32() -> None:
    assert apply(lambda image: np.array(image) / 255, PHOTO).dtype == torch.float32


def test_what_it_takes_is_tried_once() -> None:
    given = []

    def wants_an_array(image: np.ndarray) -> np.ndarray:
        given.append(type(image).__name__)
        return image.astype(np.float32)

    for _ in range(3):
        apply(wants_an_array, PHOTO)
    assert given == ["Image", "ndarray", "ndarray", "ndarray"]


def test_callable_that_cannot_be_remembered_works_too() -> None:
    class Slotted:
        __slots__ = ()

        def __call__(self, array: np.ndarray) -> np.ndarray:
            return array.astype(np.float32)

    for _ in range(2):
        assert apply(Slotted(), PHOTO).shape == (3, 8, 12)


def test_preprocesses_that_are_equal_to_their_class_may_take_different_things() -> None:
    class Scaled:
        def __init__(self, wants: type) -> None:
            self.wants = wants

        def __call__(self, image: Any) -> torch.Tensor:
            assert isinstance(image, self.wants)
            return v1.functional.to_tensor(image)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Scaled)

        def __hash__(self) -> int:
            return 1

    kept = [Scaled(Image.Image), Scaled(np.ndarray)]
    for preprocess in kept:
        assert apply(preprocess, PHOTO).shape == (3, 8, 12)


def test_tensor_form_is_an_image_to_v2() -> None:
    seen = []

    def wants_an_image(image: torch.Tensor) -> torch.Tensor:
        seen.append(isinstance(image, tv_tensors.Image) and tuple(image.shape))
        return image.float() if seen[-1] else None

    apply(wants_an_image, PHOTO)
    assert seen == [False, False, (3, 8, 12)]


def test_tensor_with_channels_last_is_an_error() -> None:
    def forgot_to_permute(image: Any) -> torch.Tensor:
        return torch.from_numpy(np.array(image)).float()  # of a tensor (3, H, W) this would be an input

    with pytest.raises(PreprocessError, match=r"tensor \(8, 12, 3\), .*channels last; accepted: .*permute\(2, 0, 1\)"):
        apply(forgot_to_permute, PHOTO)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (None, r"returned None; accepted: .* or \(1, C, H, W\)$"),
        (3, "returned an int"),
        (PHOTO, r"returned a PIL image; accepted: .*; end it with a step that makes a tensor"),
        (torch.zeros(3, 4), r"torch.float32 tensor \(3, 4\)"),
        (torch.zeros(3, 0, 4), r"torch.float32 tensor \(3, 0, 4\)"),
        (torch.zeros(2, 3, 4, 4), r"torch.float32 tensor \(2, 3, 4, 4\).*these are 2 images, and one goes in"),
        (torch.zeros(3, 4, 4).byte(), r"torch.uint8 tensor \(3, 4, 4\).*scale it to floating point"),
        (np.zeros((4, 4, 3), np.uint8), r"uint8 array \(4, 4, 3\).*scale it to floating point"),
        (np.zeros((3, 4, 3)), r"float64 array \(3, 4, 3\).*which of its axes are the channels is a guess"),
        (np.zeros((5, 4, 6)), "which of its axes are the channels is a guess"),
        ((torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)), "returned a tuple of 2.*the input alone, of one image"),
        ([], "returned a list of 0"),
        ({"input_ids": torch.zeros(1, 4)}, r"dict with the keys \['input_ids'\].*'pixel_values' or 'image'"),
        ({"pixel_values": torch.zeros(2, 3, 4, 4)}, "these are 2 images"),
        (SimpleNamespace(pixel_values=1), "returned a SimpleNamespace"),
    ],
)
def test_what_is_no_input_is_named(output: object, words: str) -> None:
    def broken(image: Image.Image) -> object:
        return output

    with pytest.raises(PreprocessError, match=words) as raised:
        apply(broken, PHOTO)
    assert str(raised.value).startswith(
        tuple(f"the preprocess broken returned {what}" for what in ("a ", "an ", "None;"))
    )
    assert "accepted: a floating point tensor (C, H, W)" in str(raised.value)


def test_failure_is_named_and_keeps_its_cause() -> None:
    def broken(image: Image.Image) -> torch.Tensor:
        raise KeyError("no such thing")

    words = "the preprocess broken fails: KeyError: 'no such thing'. Given an array"
    with pytest.raises(PreprocessError, match=words) as raised:
        apply(broken, PHOTO)
    assert isinstance(raised.value.__cause__, KeyError)


def test_failure_of_what_has_worked_before_is_its_own() -> None:
    def picky(image: Image.Image) -> torch.Tensor:
        if image.size == (5, 5):
            raise ZeroDivisionError("five")
        return v1.functional.to_tensor(image)

    apply(picky, PHOTO)
    with pytest.raises(PreprocessError, match=r"fails: ZeroDivisionError: five$"):
        apply(picky, PHOTO.resize((5, 5)))


def test_what_cannot_be_called_is_named() -> None:
    with pytest.raises(PreprocessError, match=r"preprocess is an int.*callable"):
        apply(3, PHOTO)  # type: ignore[arg-type]  # what a user may do


class Photos:
    def transforms(self) -> object:
        return v1.ToTensor()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (ResNet18_Weights.DEFAULT, r"_Weights; .*Did you mean ResNet18_Weights.IMAGENET1K_V1.transforms\(\)\?$"),
        (ResNet18_Weights, r"no input either\. Did you mean ResNet18_Weights.IMAGENET1K_V1.transforms\(\)\?$"),
        (ResNet18_Weights.DEFAULT.transforms, r"makes ImageClassifications: did you mean .*weights.transforms\(\)\?$"),
        (v2.ToImage, r"It is a class: did you mean an object of it, ToImage\(\.\.\.\)\?$"),
        (v1.Compose, r"^the preprocess Compose returned a Compose; .*an object of it, Compose\(\.\.\.\)\?$"),
        (lambda size: v1.ToTensor(), r"returned a ToTensor; .*What it returned can be called: did you mean that, made"),
        (Photos().transforms, r"It takes no image: did you mean what it returns when called, transforms\(\)\?$"),
        ([v1.Resize(8), v1.ToTensor()], r"is a list; .*one after another, torchvision.transforms.Compose\(\.\.\.\)\?$"),
        ((v2.ToImage(),), r"is a tuple; .*one after another, torchvision.transforms.Compose\(\.\.\.\)\?$"),
        ([Transform()], r"is a list; .*one after another, albumentations.Compose\(\.\.\.\)\?$"),
        ([8, v1.ToTensor()], r"is a list; .* float tensor \(C, H, W\)$"),
        ([], r"is a list; .* float tensor \(C, H, W\)$"),
    ],
)
def test_what_makes_a_preprocess_is_told_from_one(given: Any, words: str) -> None:
    with pytest.raises(PreprocessError, match=words):
        apply(given, PHOTO)
