"""Every check's default limit is one that a limits file may replace, and one that the call gives is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import pytest_cam
from pytest_cam.checks import class_discriminative, depends_on_weights, faithful, needs_region, stable
from pytest_cam.verdicts import likeness
from pytest_cam.verdicts.limits import Judged, least, most

JUDGING = (class_discriminative, depends_on_weights, faithful, needs_region, stable)


class Mirror(nn.Module):
    """Class 1 grows with the brightness of the left half, class 0 with that of the right one."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.zeros(2, 8, 8)
        weights[1, :, :4], weights[0, :, 4:] = 1.0, 1.0
        self.weights = nn.Parameter(weights)
        self.look = nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.look(image * self.weights).mean(dim=(2, 3))


IMAGE = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.5
HOW: dict[str, Any] = {"layer": "look", "method": "gradcam"}
CALLS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "class discriminative": (
        lambda: pytest_cam.assert_attention_class_discriminative(Mirror(), IMAGE, [0, 1], **HOW),
        lambda: pytest_cam.assert_attention_class_discriminative(Mirror(), IMAGE, [0, 1], at_most=0.8, **HOW),
    ),
    "stable": (
        lambda: pytest_cam.assert_attention_stable(Mirror(), IMAGE, "brightness", **HOW),
        lambda: pytest_cam.assert_attention_stable(Mirror(), IMAGE, "brightness", at_least=0.8, **HOW),
    ),
    "depends on weights": (
        lambda: pytest_cam.assert_attention_depends_on_weights(Mirror(), IMAGE, **HOW),
        lambda: pytest_cam.assert_attention_depends_on_weights(Mirror(), IMAGE, at_most=0.7, **HOW),
    ),
    "faithful": (
        lambda: pytest_cam.assert_attention_faithful(Mirror(), IMAGE, steps=2, rankings=1, **HOW),
        lambda: pytest_cam.assert_attention_faithful(Mirror(), IMAGE, steps=2, rankings=1, at_least=1.0, **HOW),
    ),
    "needs region": (
        lambda: pytest_cam.assert_prediction_needs_region(Mirror(), IMAGE, (4, 4, 8, 8), target=1),
        lambda: pytest_cam.assert_prediction_needs_region(Mirror(), IMAGE, (4, 4, 8, 8), target=1, drop_at_least=0.3),
    ),
}


FURTHER: dict[str, tuple[Callable[[], Any]]] = {
    "class discriminative by regions": (
        lambda: pytest_cam.assert_attention_class_discriminative(
            Mirror(), IMAGE, [0, 1], [(4, 0, 8, 8), (0, 0, 4, 8)], **HOW
        ),
    ),
    "needs region by score": (
        lambda: pytest_cam.assert_prediction_needs_region(
            Mirror(), IMAGE, (4, 4, 8, 8), target=lambda scores: scores[1], drop_at_least=0.1
        ),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_default_may_be_replaced_and_a_limit_of_the_call_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Judged]] = []
    for module in JUDGING:
        monkeypatch.setattr(module, "judge", lambda _check, judged, _evidence: seen.append(list(judged)))
    for call in CALLS[name]:
        call()
    by_default, by_call = ([value for value in judged if str(value.limits)] for judged in seen)
    assert by_default
    assert [str(value.limits) for value in by_default] == [str(value.limits) for value in by_call]
    assert all(value.limits.is_default for value in by_default)
    assert not any(value.limits.is_default for value in by_call)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("class discriminative", {"cosine of class 0 and class 1": ((0, 1), None)}),
        (
            "class discriminative by regions",
            {
                "skill of class 0": ((-math.inf, 1), 0),
                "lead of class 0 over class 1": ((-math.inf, math.inf), None),
                "skill of class 1": ((-math.inf, 1), 0),
                "lead of class 1 over class 0": ((-math.inf, math.inf), None),
            },
        ),
        ("stable", {"Pearson under brightness": ((-1, 1), 0)}),
        ("depends on weights", {"Pearson": ((-1, 1), None)}),
        ("faithful", {"random rankings beaten": ((0, 1), 0.5)}),
        ("needs region", {"drop of probability": ((0, 1), 0)}),
        ("needs region by score", {"drop of score": ((0, math.inf), 0)}),
    ],
)
def test_no_limit_of_a_file_lies_outside_of_what_a_number_can_be_and_none_is_proposed_at_chance(
    name: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Judged] = []
    for module in JUDGING:
        monkeypatch.setattr(module, "judge", lambda check, judged, evidence: seen.extend(judged))
    (CALLS | FURTHER)[name][0]()
    assert {value.name: (value.range, value.level) for value in seen if str(value.limits)} == expected


def test_rules_for_two_maps_are_defaults_but_for_what_is_given() -> None:
    cam = torch.rand(4, 4).numpy()
    emd, pearson = likeness.likeness(cam, cam, "retrained", limits={"pearson": 0.6})
    assert (emd.limits.is_default, pearson.limits.is_default) == (True, False)


def test_zero_is_a_limit_that_is_given() -> None:
    assert (least(0.0, 0.5).at_least, most(0.0, 0.5).at_most) == (0.0, 0.0)
    assert not least(0.0, 0.5).is_default
