"""A preprocess that says its own geometry."""

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from PIL import Image

from pytest_cam.errors import GeometryError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.preprocessing import prepare

PHOTO = Image.new("RGB", (40, 20), (10, 20, 30))
HALF = ((0.5, 0, 0), (0, 0.5, 0))


class Halved:
    """Halves the image, and says so in the way it was made with."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.runs = 0

    def __call__(self, image: Image.Image) -> torch.Tensor:
        self.runs += 1
        return v1.functional.to_tensor(image.resize((20, 10)))

    def cam_geometry(self, size: tuple[int, int]) -> object:
        assert size == (40, 20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __repr__(self) -> str:
        return "Halved"


@pytest.mark.parametrize(
    "answer",
    [HALF, np.array(HALF), torch.tensor(HALF), Geometry((40, 20), (20, 10), HALF)],
    ids=lambda a: type(a).__name__,
)
def test_stated_geometry_is_taken_without_probing(answer: object) -> None:
    halved = Halved(answer)
    assert prepare(PHOTO, halved).geometry == Geometry((40, 20), (20, 10), HALF)
    assert halved.runs == 1


def test_function_may_carry_its_geometry() -> None:
    def turned(image: Image.Image) -> torch.Tensor:
        return v1.functional.to_tensor(image.transpose(Image.Transpose.ROTATE_90))

    turned.cam_geometry = lambda size: [(np.cos(np.pi / 2), 1, 0), (-1, 0, size[0])]
    assert prepare(PHOTO, turned).geometry.matrix == ((0, 1, 0), (-1, 0, 40))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "returned None; accepted: two rows of three finite numbers"),
        ("half", "returned a str; accepted"),
        ([(1, 0, 0), (0, 1)], "returned a list; accepted"),
        (np.eye(3), r"returned an array of shape \(3, 3\); accepted"),
        (0.5, "returned a float; accepted"),
        ([(1, 0, float("nan")), (0, 1, 0)], "nan.*accepted: two rows of three finite"),
        ([(float("inf"), 0, 0), (0, 1, 0)], "inf.*accepted"),
        ([(1, 0.2, 0), (0, 1, 0)], r"0\.2.*turn by right angles"),
        ([(0.2, 1, 0), (-1, 0, 40)], r"0\.2.*turn by right angles"),
        ([(1, 0, 0), (1, 0, 0)], "accepted"),
        ([(0, 0, 1), (0, 1, 0)], "accepted"),
        (np.zeros((2, 3)), "accepted"),
        (Geometry((40, 21), (20, 10), HALF), "says an image of 40 x 21, and it is 40 x 20"),
        (Geometry((40, 20), (20, 11), HALF), "says an input of 20 x 11, and it is 20 x 10"),
        (Geometry((40, 20), (20, 10), ((1, 1, 0), (0, 1, 0))), "accepted"),
        (KeyError("size"), r"fails for \(40, 20\): KeyError: 'size'"),
    ],
)
def test_wrong_answer_is_named(answer: object, words: str) -> None:
    with pytest.raises(GeometryError, match=f"(?s)cam_geometry of the preprocess Halved .*{words}"):
        prepare(PHOTO, Halved(answer))


def test_what_cannot_be_called_is_named() -> None:
    halved = Halved(HALF)
    halved.cam_geometry = HALF
    with pytest.raises(GeometryError, match=r"cam_geometry of .* is a tuple; accepted: a method cam_geometry\(size\)"):
        prepare(PHOTO, halved)
