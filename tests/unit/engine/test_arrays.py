"""Arrays that a callable returns, in whatever it returns them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from pytest_cam import attend
from pytest_cam.engine.black_box import as_tensors
from pytest_cam.errors import OutputError

SCORES = np.array([[1.0, 2.0, 4.0]], dtype=np.float32)


class Pair(NamedTuple):
    logits: Any
    names: Any


@dataclass(frozen=True)
class Answer:
    logits: Any
    made: str = field(default="later", init=False)


def brightness(images: torch.Tensor) -> Any:
    """Two classes, by how bright the left and the right half are."""
    halves = images.numpy().reshape(len(images), 8, 2, 4).mean(axis=(1, 3))
    return halves.astype(np.float32)


HELD: dict[str, Callable[[Any], Any]] = {
    "named tuple": lambda scores: Pair(scores, np.array(["left", "right"])),
    "dataclass": Answer,
    "namespace": lambda scores: SimpleNamespace(logits=scores, made=3),
    "mapping that cannot be written to": lambda scores: MappingProxyType({"logits": scores}),
    "list in a dict": lambda scores: {"logits": scores, "hidden": [scores, None]},
    "other byte order": lambda scores: scores.astype(">f4"),
    "longer numbers": lambda scores: scores.astype(np.longdouble),
    "every second column": lambda scores: np.repeat(scores, 2, axis=1)[:, ::2],
}


@pytest.mark.parametrize("kind", HELD)
def test_a_callable_may_return_its_arrays_in(kind: str) -> None:
    image = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))

    def found(model: Callable[[torch.Tensor], Any]) -> Any:
        return attend(model, image, method="occlusion", target=1, method_options={"window": 2})

    assert np.array_equal(found(lambda images: HELD[kind](brightness(images))).map, found(brightness).map)


def test_what_holds_an_array_is_copied_and_keeps_its_kind() -> None:
    answer = Answer(SCORES)
    found = as_tensors(answer)
    assert type(found) is Answer
    assert found.made == "later"
    assert torch.equal(found.logits, torch.from_numpy(SCORES))
    assert answer.logits is SCORES


def test_names_stay_what_they_are_and_other_objects_too() -> None:
    class Result:
        logits = SCORES

    names, result = np.array(["left", "right"]), Result()
    assert as_tensors(names) is names
    assert as_tensors(result) is result


def test_values_survive_to_the_last_bit() -> None:
    assert as_tensors(np.array([1.5, -0.0, np.nan], dtype=">f8")).tolist()[:2] == [1.5, -0.0]
    assert as_tensors(np.array(3, dtype=">i2")).shape == ()
    assert as_tensors(np.array([1 / 3], dtype=np.longdouble)).dtype == torch.float64
    assert as_tensors(np.array([1 / 3], dtype=np.clongdouble)).dtype == torch.complex128


def test_an_array_of_no_numbers_is_no_answer() -> None:
    with pytest.raises(OutputError, match="the model returned an ndarray; accepted: class scores"):
        attend(lambda images: np.array([["left", "right"]] * len(images)), torch.rand(1, 8, 8), method="occlusion")
