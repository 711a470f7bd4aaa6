"""The verbs on several maps: a failing one writes its panel and its maps, from the function and from the fixture."""

from __future__ import annotations

import numpy as np
from PIL import Image

TESTS = """
import torch
from torch import nn

import pytest_cam


class Halves(nn.Module):
    # Class 0 is the mean of the left half, class 1 that of the right half, or the other way round; class 2 of both.
    def __init__(self, swapped=False):
        super().__init__()
        weights = torch.zeros(3, 8, 8)
        weights[0, :, :4], weights[1, :, 4:], weights[2] = 1.0, 1.0, 0.5
        self.weights = nn.Parameter(weights[[1, 0, 2]] if swapped else weights)
        self.look = nn.Identity()

    def forward(self, image):
        return self.look(image * self.weights).mean(dim=(2, 3))


GREY = torch.linspace(0.5, 1.0, 64).reshape(1, 8, 8)
HOW = {"layer": "look", "method": "gradcam"}


def test_agrees(cam):
    cam.assert_attention_agrees(Halves(), Halves(swapped=True), GREY, target=0, **HOW)


def test_class_discriminative(cam):
    cam.assert_attention_class_discriminative(Halves(), GREY, [0, 1], [(4, 0, 8, 8), (0, 0, 4, 8)], **HOW)


@pytest.mark.cam(target=2)
def test_marker_with_a_target(cam):
    cam.assert_attention_class_discriminative(Halves(), GREY, [0, 1], **HOW)


def test_stable():
    def dark_left(image):
        image[:, :, :4] *= 0.1
        return image

    pytest_cam.assert_attention_stable(Halves(), GREY, ["noise", dark_left], target=2, **HOW)


def test_depends_on_weights(model, cam):
    spot = make_photo()
    cam.assert_attention_depends_on_weights(model, spot, layer="0", method="gradcam", at_most=-1, target=1)


def test_comparison_of_attentions():
    one, other = (attend(Halves(), GREY, target=target, **HOW) for target in (0, 1))
    one.assert_agrees(other)
"""
VIEWS = {
    "test_agrees": ["model", "reference"],
    "test_class_discriminative": ["target-1", "target-2"],
    "test_comparison_of_attentions": ["first", "second"],
    "test_stable": ["original", "perturbed-2", "perturbed-1"],
}


def test_failing_verbs_write_their_panels_and_maps(project) -> None:
    project.write(test_maps=TESTS)
    result = project.run_with_artifacts()
    result.assert_outcomes(failed=5, passed=1)
    result.stdout.fnmatch_lines_random(
        [
            "*AttentionError: attention of model agrees with reference: EMD 0.* > 0.15; Pearson *",
            "*AttentionError: attention class-discriminative: skill of class 0 -*",
            "*AttentionError: attention stable: Pearson under dark_left *",
            "*AttentionError: attention depends on weights: Pearson * > -1 (gradcam, 0)*",
        ]
    )
    documents = project.documents()
    for test, views in VIEWS.items():
        (document,) = documents[test]
        assert [view["name"] for view in document["views"]] == views
        expected = {"attention.json", "panel.png"}
        for view in views:
            expected |= {f"{view}.png", f"{view}.npy", f"{view}-original.png"}
        assert set(document["files"]) == expected
        assert {path.name for path in document["folder"].iterdir()} == expected
        assert np.load(document["folder"] / f"{views[0]}.npy").shape == (8, 8)
        with Image.open(document["folder"] / "panel.png") as panel:
            assert panel.width > 320
    (weights,) = documents["test_depends_on_weights"]
    assert weights["views"][0]["name"] == "model"
    assert weights["measurements"][0]["at_most"] == -1
