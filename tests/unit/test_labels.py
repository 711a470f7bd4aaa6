"""Labels say what differs, and only that."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pytest_cam import Attention, attend
from pytest_cam.labels import labels

IMG = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))


class Twice(nn.Module):
    """A layer that runs twice, and ten classes of which two have one name."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = nn.Conv2d(3, 4, 3, padding=1)
            self.act = nn.ReLU()
            self.second = nn.Conv2d(4, 4, 3, stride=2)
            self.head = nn.Linear(4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.second(self.act(self.first(image)))).mean(dim=(2, 3)))


def seen(layer: str = "second", method: str = "layercam", target: Any = 0, **further: int) -> Attention:
    names = ["crane", "dog", "crane"]
    return attend(Twice(), IMG, layer=layer, method=method, target=target, class_names=names, **further)


def test_only_what_differs_is_in_a_label() -> None:
    assert labels([seen(), seen(method="gradcam")]) == (["layercam", "gradcam"], ["second", "crane (0)", "7 x 7"])
    assert labels([seen(), seen("first")]) == (["second, 7 x 7", "first, 16 x 16"], ["layercam", "crane (0)"])
    assert labels([seen(), seen(method="gradcam", target=1)])[0] == ["layercam, crane (0)", "gradcam, dog"]


def test_classes_of_one_name_have_their_numbers() -> None:
    assert labels([seen(), seen(target=1), seen(target=2)])[0] == ["crane (0)", "dog", "crane (2)"]


def test_one_name_of_several_targets_has_their_numbers() -> None:
    def dog(scores: torch.Tensor) -> torch.Tensor:
        return scores[1]

    assert labels([seen(target=1), seen(target=dog)])[0] == ["dog (1)", "dog (callable)"]


def test_runs_of_one_layer_are_told_apart() -> None:
    assert labels([seen("act", layer_call=1), seen("act")])[0] == [
        "act in run 1 of 2, 16 x 16",
        "act in run 2 of 2, 7 x 7",
    ]


def test_what_nothing_tells_apart_is_numbered() -> None:
    assert labels([seen(), seen()]) == (["number 1", "number 2"], ["layercam", "second", "crane (0)", "7 x 7"])
    assert labels([seen(), seen(target=1), seen()])[0] == ["1: crane (0)", "2: dog", "3: crane (0)"]


def test_a_single_attention_is_told_in_full() -> None:
    assert labels([seen()]) == (["layercam, second, crane (0), 7 x 7"], [])
