"""Laws of every method, through `attend`, on networks for which they must hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import attend, attend_batch
from pytest_cam.engine.methods import METHODS

pytestmark = pytest.mark.filterwarnings("ignore::pytest_cam.TargetIgnoredWarning")
# Windows and masks that a small input has room for.
OPTIONS: dict[str, dict[str, Any]] = {"rise": {"masks": 60, "cells": 4}}
# What draws random numbers draws others for a mirrored input; attention layers are what this one has for.
UNMIRRORED = {"smoothgradcam++", "rise", "random"}
OF_TRANSFORMERS = {"legrad"}
OF_NETWORKS = [name for name in METHODS if name not in OF_TRANSFORMERS]


@pytest.fixture(scope="module")
def pointwise() -> nn.Module:
    """A network that sees each pixel alone: what is mirrored stays so until the pooling."""
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 5),
    ).eval()  # fmt: skip
    with torch.no_grad():  # so that every channel speaks for every class, and no map is zero
        model[6].weight.abs_()
        model[8].weight.abs_()
    return model


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(4))


def asked(method: str) -> dict[str, Any]:
    given: dict[str, Any] = {"method": method, "method_options": OPTIONS.get(method)}
    return given | ({"layer": "3"} if METHODS[method].takes_a_layer else {})


def relative_error(found: Any, expected: Any) -> float:
    assert expected.max() > 0
    return float(np.abs(found - expected).max() / expected.max())


@pytest.mark.parametrize("method", [name for name in OF_NETWORKS if name not in UNMIRRORED])
@pytest.mark.parametrize("axis", [-1, -2])
def test_a_mirrored_input_has_the_mirrored_map(
    pointwise: nn.Module, images: torch.Tensor, method: str, axis: int
) -> None:
    expected = np.flip(attend(pointwise, images[0], target=2, **asked(method)).map, axis)
    assert relative_error(attend(pointwise, images[0].flip(axis), target=2, **asked(method)).map, expected) < 1e-4


@pytest.mark.parametrize("method", OF_NETWORKS)
def test_a_batch_is_its_images_one_by_one(pointwise: nn.Module, images: torch.Tensor, method: str) -> None:
    together = attend_batch(pointwise, images, target=1, **asked(method))
    for image, found in zip(images, together, strict=True):
        assert relative_error(found.map, attend(pointwise, image, target=1, **asked(method)).map) < 1e-4


@pytest.mark.parametrize("method", OF_NETWORKS)
def test_the_generators_of_random_numbers_are_left_alone(
    pointwise: nn.Module, images: torch.Tensor, method: str
) -> None:
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    expected = torch.rand(2).tolist(), random.random(), np.random.rand()
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    first = attend(pointwise, images[0], target=0, **asked(method))
    assert (torch.rand(2).tolist(), random.random(), np.random.rand()) == expected
    again = attend(pointwise, images[0], target=0, **asked(method))
    assert np.array_equal(first.map, again.map)


@pytest.mark.parametrize("method", sorted(UNMIRRORED))
def test_another_seed_gives_another_map(pointwise: nn.Module, images: torch.Tensor, method: str) -> None:
    maps = [attend(pointwise, images[0], target=0, seed=seed, **asked(method)).map for seed in (0, 1)]
    assert not np.array_equal(*maps)


@pytest.mark.parametrize("method", OF_NETWORKS)
def test_the_model_is_left_as_it_was(pointwise: nn.Module, images: torch.Tensor, method: str) -> None:
    before = {name: value.clone() for name, value in pointwise.state_dict().items()}
    attributes = [dict(vars(module)) for module in pointwise.modules()]
    attend(pointwise, images[0], target=0, **asked(method))
    assert [dict(vars(module)) for module in pointwise.modules()] == attributes
    assert all(torch.equal(value, before[name]) for name, value in pointwise.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in pointwise.parameters())
    assert not any(module._forward_hooks for module in pointwise.modules())
    assert torch.is_grad_enabled()


@contextmanager
def default_type(kind: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


# A tensor that is made on the meta device without a word on where takes no generator of the CPU, and has no numbers.
@pytest.mark.parametrize("other", [lambda: torch.device("meta"), lambda: default_type(torch.float64)])
@pytest.mark.parametrize("method", OF_NETWORKS)
def test_a_map_is_the_same_with_another_default_device_or_type(
    pointwise: nn.Module, images: torch.Tensor, method: str, other: Callable[[], AbstractContextManager[Any]]
) -> None:
    expected = attend(pointwise, images[0], target=2, **asked(method)).map
    with other():
        found = attend(pointwise, images[0], target=2, **asked(method)).map
    assert relative_error(found, expected) < 1e-6
