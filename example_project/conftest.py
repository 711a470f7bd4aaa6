"""What the tests share: the candidate model, its preprocessing and the annotated photos."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from annotations import AnnotatedPhoto, annotated_photos
from network import DigitNet, load, preprocess
from PIL import Image

# A few photos are enough to see where a model looks; all of them are for accuracy.
ATTENTION_PHOTOS = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--candidate", choices=("honest", "shortcut"), default="honest", help="the model to test")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "photo" in metafunc.fixturenames:
        photos = annotated_photos()[:ATTENTION_PHOTOS]
        metafunc.parametrize("photo", photos, ids=[photo.path.stem for photo in photos])


@pytest.fixture(scope="session")
def model(pytestconfig: pytest.Config) -> DigitNet:
    return load(pytestconfig.getoption("candidate"))


@pytest.fixture(scope="session")
def photos() -> list[AnnotatedPhoto]:
    return annotated_photos()


@pytest.fixture
def cam_preprocess() -> Callable[[Image.Image], torch.Tensor]:
    return preprocess


@pytest.fixture
def cam_class_names() -> list[str]:
    return ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
