"""layer=None where a score is read from the last layer's own cells, as a mask's is from a segmenter's logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pytest_cam import Box, SegmentationMask, attend

pytestmark = pytest.mark.usefixtures("seeded")

PICTURE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
METHODS = ("gradcam++", "scorecam")  # with gradients, and without


class Segmenter(nn.Module):
    """Class maps (B, 3, 8, 8) of features on the same grid, which are returned as large as the image is."""

    def __init__(self, *head: nn.Module, auxiliary: nn.Module | None = None) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.classifier = nn.Sequential(*head)
        self.auxiliary = auxiliary

    def forward(self, images: torch.Tensor) -> dict[str, Any]:
        features = self.features(images)
        maps = self.classifier(features)
        larger = nn.functional.interpolate(maps, images.shape[2:], mode="bilinear")
        others = None if self.auxiliary is None else self.auxiliary(features)
        return {"out": larger[..., 1:, :], "small": maps, "pooled": maps.mean((2, 3)), "others": others}


def smoothed(*last: nn.Module) -> list[nn.Module]:
    return [nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(), *last]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("head", "layer"),
    [
        (smoothed(nn.Conv2d(8, 3, 3, 1, 1)), "classifier.2"),
        (smoothed(nn.Conv2d(8, 3, 3, 1, 1), nn.Sigmoid()), "classifier.2"),
        # Class scores of a cell's own features, whose map is that of the scores.
        (smoothed(nn.Conv2d(8, 3, 1), nn.Softmax(1)), "features"),
    ],
    ids=["3 x 3", "3 x 3, probabilities", "1 x 1"],
)
@pytest.mark.parametrize("auxiliary", [None, nn.Conv2d(8, 3, 1)], ids=["alone", "before another head"])
@pytest.mark.parametrize(
    "target", [SegmentationMask(1, Box(0, 0, 12, 12)), lambda part: part["small"][1, 2, 3]], ids=["mask", "cell"]
)
def test_a_segmenter_is_explained_before_the_maps_that_its_score_is_read_from(
    target: Any, auxiliary: nn.Module | None, head: list[nn.Module], layer: str, method: str
) -> None:
    model = Segmenter(*head, auxiliary=auxiliary).eval()
    found = attend(model, PICTURE, target=target, method=method)
    assert found.layer == layer
    assert found.map.tolist() == attend(model, PICTURE, layer=layer, target=target, method=method).map.tolist()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", [1, lambda part: part["pooled"][1]])
def test_class_maps_are_explained_where_the_score_is_pooled_from_them(target: Any, method: str) -> None:
    model = Segmenter(nn.Conv2d(8, 3, 1)).eval()
    output = None if callable(target) else "pooled"
    assert attend(model, PICTURE, output=output, target=target, method=method).layer == "classifier"


@pytest.mark.parametrize("method", METHODS)
def test_a_segmenter_of_a_single_layer_is_explained_there(method: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3)).eval()
    assert attend(model, PICTURE, target=lambda maps: maps[1].mean(), method=method).layer == "0"


@pytest.mark.parametrize("method", METHODS)
def test_a_segmenter_all_of_whose_cells_are_apart_is_explained_at_its_class_maps(method: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    assert attend(model, PICTURE, target=lambda maps: maps[1].mean(), method=method).layer == "2"
