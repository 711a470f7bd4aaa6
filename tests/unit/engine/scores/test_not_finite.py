"""NaN and infinity in the scores of methods that run the model on changed inputs, or on changed outputs of a layer."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

from pytest_cam import attend, attend_batch, register_method
from pytest_cam.engine import methods
from pytest_cam.errors import NonFiniteError

NAN, INFINITY = float("nan"), float("inf")
OPTIONS: dict[str, dict[str, int]] = {"rise": {"masks": 32, "cells": 4}, "occlusion": {"window": 2, "stride": 2}}


class Breaking(nn.Module):
    """Means of a layer's two channels, the second one some other number where an input is as it should not be."""

    def __init__(self, breaks: Any, value: float) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1, bias=False)
        self.layer.weight.data = torch.tensor([[1.0, 0, 0], [0, 1, 0]])[:, :, None, None]
        self.breaks, self.value = breaks, value

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = self.layer(images).mean(dim=(2, 3))
        second = torch.where(self.breaks(images, means), self.value, means[:, 1])
        return torch.stack([means[:, 0], second], dim=1)


@pytest.fixture
def picture() -> torch.Tensor:
    """Channel 0 rises from left to right, channel 1 from top to bottom, from 1 to 2."""
    slope = torch.linspace(1, 2, 8).expand(8, 8)
    return torch.stack([slope, slope.T, torch.ones(8, 8)])


def explained(model: Any, picture: torch.Tensor, method: str, **settings: Any) -> Any:
    return attend(model, picture, method=method, target=1, method_options=OPTIONS.get(method), **settings)


@pytest.mark.parametrize(("value", "kind"), [(NAN, "NaN"), (INFINITY, "infinity"), (-INFINITY, "infinity")])
@pytest.mark.parametrize("as_callable", [False, True])
@pytest.mark.parametrize("method", ["rise", "occlusion"])
def test_score_of_the_image_itself_is_named_as_gradcam_names_it(
    method: str, as_callable: bool, value: float, kind: str, picture: torch.Tensor
) -> None:
    model = Breaking(lambda images, means: means[:, 1] != INFINITY, value).eval()
    with pytest.raises(NonFiniteError) as expected:
        explained(model, picture, "gradcam", layer="layer")
    with pytest.raises(NonFiniteError) as found:
        explained((lambda images: model(images)) if as_callable else model, picture, method)
    assert str(expected.value) == f"{kind} in the scores of target class 1: 1 of 1 values are not finite"
    assert str(found.value) == str(expected.value)


def test_image_of_a_batch_is_named(picture: torch.Tensor) -> None:
    model = Breaking(lambda images, means: means[:, 0] > 2, NAN).eval()
    with pytest.raises(NonFiniteError, match="NaN in the scores of target class 1 for image 1 of the batch: 1 of 1"):
        attend_batch(model, torch.stack([picture, 2 * picture]), method="rise", target=1)


@pytest.mark.parametrize("value", [NAN, -INFINITY])
def test_class_that_is_not_explained_may_be_anything(value: float, picture: torch.Tensor) -> None:
    model = Breaking(lambda images, means: means[:, 1] != INFINITY, value).eval()
    assert attend(model, picture, method="occlusion", target=0).map.max() > 0


@pytest.mark.parametrize(("value", "kind"), [(NAN, "NaN"), (INFINITY, "infinity"), (-INFINITY, "infinity")])
@pytest.mark.parametrize("as_callable", [False, True])
def test_changed_inputs_that_break_the_score_are_counted(
    as_callable: bool, value: float, kind: str, picture: torch.Tensor
) -> None:
    # The windows of 2 x 2 are 16; four of them lie in the upper row.
    model = Breaking(lambda images, means: (images[:, 1, 0] == 0).any(dim=1), value).eval()
    said = (
        f"^{kind} in the scores of target class 1 for the changed inputs of occlusion: 4 of 16 values are not finite$"
    )
    with pytest.raises(NonFiniteError, match=said):
        explained((lambda images: model(images)) if as_callable else model, picture, "occlusion")


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize(
    ("method", "layer", "said"),
    [
        ("rise", {}, r"the changed inputs of rise: \d\d? of 32 values"),
        # Each mask is 0 at its channel's least value: the left column of the first, and the upper row of the second.
        ("scorecam", {"layer": "layer"}, "the changed inputs of scorecam: 1 of 2 values"),
        ("ablationcam", {"layer": "layer"}, "the changed outputs of layer layer of ablationcam: 1 of 2 values"),
    ],
)
def test_changes_of_some_kinds_that_break_the_score_are_counted(
    method: str, layer: dict[str, Any], said: str, value: float, picture: torch.Tensor
) -> None:
    breaks = {
        "rise": lambda images, means: images[:, 1, 0, 0] == 0,
        "scorecam": lambda images, means: (images[:, 1, 0] == 0).all(dim=1),
        "ablationcam": lambda images, means: means[:, 1] == 0,
    }
    with pytest.raises(NonFiniteError, match=f"in the scores of target class 1 for {said} are not finite"):
        explained(Breaking(breaks[method], value).eval(), picture, method, **layer)


def test_target_that_is_a_callable_is_named(picture: torch.Tensor) -> None:
    model = Breaking(lambda images, means: (images[:, 1, 0] == 0).any(dim=1), NAN).eval()
    with pytest.raises(NonFiniteError, match="in the scores of target <lambda> for the changed inputs of occlusion: 4"):
        attend(model, picture, method="occlusion", target=lambda row: row[1], method_options=OPTIONS["occlusion"])


def test_registered_methods_get_finite_scores(picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_registered", {})

    @register_method("halves")
    def halves(inputs: torch.Tensor, score_inputs: Any) -> torch.Tensor:
        scores = score_inputs(2, lambda start, stop: inputs * torch.arange(start, stop)[:, None, None, None])
        return inputs[:, 0] * scores.sum()

    model = Breaking(lambda images, means: means[:, 1] == 0, NAN).eval()
    with pytest.raises(NonFiniteError, match="for the changed inputs of halves: 1 of 2 values"):
        attend(model, picture, method="halves", target=1)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("hirescam", "layer layer is not finite although activations and gradients are: their products leave the"),
        (
            "occlusion",
            "the input is not finite although the scores are: what is made of them leaves the range of float32",
        ),
    ],
)
def test_map_that_leaves_the_range_of_float32_is_told_from_scores_that_do(
    method: str, said: str, picture: torch.Tensor
) -> None:
    # In double precision all of it is finite: activations of 1e20 and more, and gradients of 1e20.
    body = OrderedDict(layer=nn.Conv2d(3, 2, 1), flatten=nn.Flatten(), head=nn.Linear(128, 2, bias=False))
    model = nn.Sequential(body).double().eval()
    model.layer.weight.data.fill_(1)
    model.head.weight.data.fill_(1e20)
    given = {"layer": "layer"} if method == "hirescam" else {}
    with pytest.raises(NonFiniteError, match=f"the {method} map at .*{said}"):
        attend(model, picture.double() * 1e20, method=method, target=1, **given)


@pytest.mark.parametrize("given", [{"layer": "layer"}, {"method": "occlusion"}], ids=str)
def test_input_that_is_not_finite_is_what_is_named(given: dict[str, Any], picture: torch.Tensor) -> None:
    model = Breaking(lambda images, means: means[:, 1] > 99, 0.0)
    picture[0, 0, 0] = NAN
    with pytest.raises(NonFiniteError, match=r"NaN in the input that the model was given: 1 of 192 values") as raised:
        attend(model, picture, target=1, **given)
    assert isinstance(raised.value.__cause__, NonFiniteError)
