"""The further keywords: what the model takes beside the image, and which part of its answer is explained."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import assert_attention_in_region, assert_attention_not_in_region, attend, attend_batch, options
from pytest_cam.checks.bound import Cam
from pytest_cam.errors import CamError, KeywordError, ModelError, OutputError


class Gated(nn.Module):
    """Brightness times a gate (B,) and a factor; it overwrites its gate, and answers with the gate as well."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Identity()

    def forward(self, image: torch.Tensor, gate: torch.Tensor, *, scale: Any = None) -> dict[str, torch.Tensor]:
        factor = 1.0 if scale is None else scale["factor"]
        bright = self.look(image).mean(dim=(1, 2, 3)) * gate.clone() * factor
        answer = torch.stack([-bright, bright], dim=1)
        gate.zero_()
        return {"brightness": answer, "gate": torch.stack([gate, gate], dim=1)}


IMAGE = torch.zeros(1, 8, 8)
IMAGE[:, 1:5, 1:5] = 1
BOX = (1, 1, 5, 5)


def cam() -> Cam:
    return Cam(lambda: dict.fromkeys(options.MARKER_KEYS) | {"method": "gradcam"})


VERBS: list[Callable[..., Any]] = [
    attend,
    lambda model, image, **rest: attend_batch(model, image[None], **rest)[0],
    lambda model, image, **rest: assert_attention_in_region(model, image, BOX, **rest),
    lambda model, image, **rest: assert_attention_not_in_region(model, image, (6, 6, 8, 8), **rest),
    lambda model, image, **rest: cam()(model, image, **rest),
    lambda model, image, **rest: cam().batch(model, image[None], **rest)[0],
    lambda model, image, **rest: cam().assert_attention_in_region(model, image, BOX, **rest),
    lambda model, image, **rest: cam().assert_attention_not_in_region(model, image, (6, 6, 8, 8), **rest),
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_passes_them_on(verb: Callable[..., Any]) -> None:
    gate = torch.tensor([2.0])
    kwargs = {"scale": {"factor": torch.tensor(3.0)}}
    attention = verb(
        Gated(), IMAGE, layer="look", target=1, output="brightness", model_args=(gate,), model_kwargs=kwargs
    )
    assert attention.score == pytest.approx(0.25 * 2 * 3)
    assert gate.tolist() == [2.0]  # what is the user's own is not overwritten


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("given", "nearest"), [("model_arg", "model_args"), ("ouput", "output"), ("targte", "target"), ("layr", "layer")]
)
def test_unknown_keyword_is_answered_with_the_nearest(verb: Callable[..., Any], given: str, nearest: str) -> None:
    with pytest.raises(KeywordError, match=rf"\w+\(\) has no keyword '{given}'\. Did you mean .*'{nearest}'") as raised:
        verb(Gated(), IMAGE, **{given: 1})
    assert isinstance(raised.value, TypeError)


@pytest.mark.parametrize("verb", [assert_attention_in_region, cam().assert_attention_in_region])
def test_keywords_of_a_verb_are_its_own(verb: Callable[..., Any]) -> None:
    with pytest.raises(KeywordError, match=r"assert_attention_in_region\(\) has no keyword 'at_lest'.*'at_least'"):
        verb(Gated(), IMAGE, BOX, at_lest=1)


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({"model_args": torch.ones(1)}, r"model_args is a Tensor; accepted: a tuple .* as in model_args=\(metadata,\)"),
        ({"model_kwargs": [1]}, "model_kwargs is a list; accepted: a dict from name to value"),
        ({"reshape": 3}, "reshape is an int; accepted: a function from the layer's output to a tensor"),
    ],
)
def test_arguments_of_the_wrong_kind_are_an_error(further: dict[str, Any], message: str) -> None:
    with pytest.raises(KeywordError, match=message):
        attend(Gated(), IMAGE, **further)  # type: ignore[arg-type]


def test_arguments_of_a_batch_are_those_of_all_its_images() -> None:
    images = torch.stack([IMAGE, IMAGE])
    gates = torch.tensor([1.0, -4.0])
    first, second = attend_batch(Gated(), images, layer="look", output="brightness", model_args=[gates])
    assert (first.score, second.score) == pytest.approx((0.25, 1.0))
    assert (first.target, second.target) == (1, 0)


class Held(NamedTuple):
    gate: torch.Tensor
    note: str = ""


@dataclass(frozen=True)
class Settings:
    gate: torch.Tensor
    array: Any = field(default_factory=lambda: np.zeros(2))


@pytest.mark.parametrize(
    ("holder", "gate_in"),
    [
        (lambda gates: {"gate": gates}, lambda held: held["gate"]),
        (lambda gates: MappingProxyType({"gate": gates}), lambda held: held["gate"]),
        (lambda gates: [gates, None], lambda held: held[0]),
        (Held, lambda held: held.gate),
        (Settings, lambda held: held.gate),
        (lambda gates: SimpleNamespace(gate=gates), lambda held: held.gate),
    ],
    ids=["dict", "mapping that cannot be written to", "list", "named tuple", "dataclass", "namespace"],
)
def test_versions_of_an_image_get_its_row_of_what_arguments_hold(holder: Any, gate_in: Any) -> None:
    class Reads(Gated):
        def forward(self, image: torch.Tensor, held: Any) -> Any:
            return super().forward(image, gate_in(held))["brightness"]

    images, gates = torch.stack([IMAGE, IMAGE]), torch.tensor([1.0, 3.0])
    first, second = attend_batch(Reads(), images, method="occlusion", target=1, model_args=(holder(gates),))
    np.testing.assert_allclose(second.map, 3 * first.map, rtol=1e-6)
    assert first.map.any()
    assert gates.tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({}, "called with the image, and .* missing a required argument: 'gate'. Accepted: .* model_args="),
        ({"model_args": (1, 2)}, "the image and model_args, and its parameters are .*: too many positional"),
        ({"model_kwargs": {"gate": 1, "scal": 2}}, "the image and model_kwargs, .* unexpected keyword argument 'scal'"),
    ],
)
@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_arguments_that_the_model_does_not_take_are_an_error(
    method: str, further: dict[str, Any], message: str
) -> None:
    gated = Gated()
    model: Any = gated if method == "gradcam" else lambda image, gate, *, scale=None: gated(image, gate, scale=scale)
    with pytest.raises(ModelError, match=message) as raised:
        attend(model, IMAGE, method=method, **further)
    assert isinstance(raised.value.__cause__, TypeError)


def test_error_of_the_model_about_what_it_takes_is_its_own() -> None:
    with pytest.raises(TypeError) as raised:
        attend(Gated(), IMAGE, model_args=(torch.ones(1),), model_kwargs={"scale": 1})
    assert not isinstance(raised.value, CamError)


class Reads(nn.Module):
    """Scores brightness times the sum of the words, which it takes first, as models of Hugging Face do."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Identity()

    def forward(self, input_ids: Any = None, pixel_values: Any = None, **rest: Any) -> torch.Tensor:
        bright = self.look(pixel_values).mean(dim=(1, 2, 3)) * input_ids.sum()
        return torch.stack([-bright, bright], dim=1)


@pytest.mark.parametrize("given", [{"model_kwargs": {"input_ids": torch.ones(3)}}, {"model_args": (torch.ones(3),)}])
@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_image_is_passed_by_its_name_where_words_come_first(method: str, given: dict[str, Any]) -> None:
    layer = "look" if method == "gradcam" else None
    found = attend(Reads(), IMAGE, layer=layer, method=method, target=1, **given)
    assert found.score == pytest.approx(0.25 * 3)
    found.assert_in_region(BOX)


def test_name_that_the_model_has_for_the_image_is_said_where_it_is_not_taken() -> None:
    message = r"the image as pixel_values and model_args, .* multiple values for argument 'pixel_values'"
    with pytest.raises(ModelError, match=message):
        attend(Reads(), IMAGE, model_args=(torch.ones(3), 2, 3))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="errors have no notes")
@pytest.mark.parametrize("given", [{}, {"model_kwargs": {"input_idz": torch.ones(3)}}])
def test_words_that_are_missing_are_asked_for(given: dict[str, Any]) -> None:
    with pytest.raises(AttributeError) as raised:
        attend(Reads(), IMAGE, **given)
    assert raised.value.__notes__[1:] == [
        "It was given as pixel_values, and the model takes input_ids, too: model_kwargs={'input_ids': ...}."
    ]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="errors have no notes")
@pytest.mark.parametrize("layer", ["0", None])
def test_error_of_the_model_tells_of_the_input(layer: str | None) -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten())
    with pytest.raises(RuntimeError, match="expected input") as raised:
        attend(model, torch.rand(1, 40, 64), layer=layer)
    assert raised.value.__notes__ == [
        "The model was given an input (1, 1, 40, 64), that is (B, C, H, W), made of images (1, 40, 64)."
    ]


def test_output_that_was_not_named_is_asked_for() -> None:
    with pytest.raises(OutputError, match=r"'brightness' \(1, 2\), 'gate' \(1, 2\)\. Say which: output='brightness'"):
        attend(Gated(), IMAGE, layer="look", model_args=(torch.ones(1),))


def test_arguments_are_the_same_where_the_model_runs_twice() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gated, self.head = Gated(), nn.Identity()

        def forward(self, image: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                seen = image * 1.0
                logits = self.head(seen * gate.clone())
            gate.zero_()
            return torch.cat([-logits.mean(dim=(1, 2, 3)), logits.mean(dim=(1, 2, 3))])[None]

    attention = attend(Frozen(), IMAGE, layer="head", target=1, model_args=(torch.tensor([2.0]),))
    assert attention.score == pytest.approx(0.5)
