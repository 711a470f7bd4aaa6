"""Lists of layers, methods and targets from one pass; fused layers; smoothing."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torchvision.models import VisionTransformer
from torchvision.ops import deform_conv2d

from pytest_cam import (
    ClassLogit,
    ClassProbability,
    ContrastiveLogit,
    DetectionBox,
    FusedLayers,
    SegmentationMask,
    TargetIgnoredWarning,
    attend,
    attend_batch,
    register_method,
)
from pytest_cam.engine import explaining, methods
from pytest_cam.errors import IndependentScoreError, KeywordError, LayerError, MethodError, TargetError


class Counted(nn.Module):
    """Counts how often it runs, on how many images."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.runs: list[int] = []

    def forward(self, images: torch.Tensor) -> Any:
        self.runs.append(len(images))
        return self.body(images)


@pytest.fixture
def counted(classifier: nn.Sequential) -> Counted:
    return Counted(classifier).eval()


def test_lists_give_all_combinations_in_one_pass(counted: Counted, picture: torch.Tensor) -> None:
    layers, methods, targets = ["body.stem", "body.layer"], ["gradcam", "layercam", "gradcam++"], [0, 3, None]
    found = attend(counted, picture, layer=layers, method=methods, target=targets)
    assert counted.runs == [1]
    predicted = int(counted(picture).argmax())
    assert [(item.layer, item.method, item.target) for item in found] == [
        (layer, method, predicted if target is None else target)
        for layer in layers
        for method in methods
        for target in targets
    ]
    for item in found:
        alone = attend(counted, picture, layer=item.layer, method=item.method, target=item.target)
        np.testing.assert_allclose(item.map, alone.map, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("given", [{"method": ["gradcam"]}, {"target": [1]}, {"layer": ["layer"]}])
def test_a_list_of_one_gives_a_list_of_one(classifier: nn.Sequential, picture: torch.Tensor, given: Any) -> None:
    found = attend(classifier, picture, **{"layer": "layer", **given})
    assert isinstance(found, list)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"method": []}, MethodError, "the list of methods is empty"),
        ({"method": ["gradcam", "gradcam"]}, MethodError, "names 'gradcam' twice"),
        ({"method": ["gradcam", "gradcan"]}, MethodError, "Did you mean 'gradcam'"),
        ({"target": []}, TargetError, "the list of targets is empty"),
        ({"method_options": {"sample": 3}}, MethodError, r"gradcam\+\+ has no option 'sample'. It has none"),
        ({"method_options": 3}, KeywordError, "method_options is an int; accepted: a dict"),
        ({"seed": 1.5}, KeywordError, "seed is 1.5; accepted: an integer"),
        ({"seed": True}, KeywordError, "seed is True; accepted: an integer"),
        ({"seed": np.bool_(True)}, KeywordError, "seed is .*True.*; accepted: an integer"),
        ({"seed": np.float64(3)}, KeywordError, "seed is .*3.0.*; accepted: an integer"),
        ({"smooth": "yes"}, KeywordError, "smooth is 'yes'; accepted: True or False"),
    ],
)
def test_wrong_lists_and_options(
    classifier: nn.Sequential, picture: torch.Tensor, given: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        attend(classifier, picture, layer="layer", **given)


def test_a_batch_takes_one_method(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    with pytest.raises(MethodError, match=r"method is a list of 2; attend_batch takes one method, and attend\("):
        attend_batch(classifier, picture, layer="layer", method=["gradcam", "layercam"])  # type: ignore[arg-type]


def linear(weights: torch.Tensor) -> nn.Module:
    """A model whose layers "0" and "1" have grids of 4 x 4 and 2 x 2, and whose score is sum(weights * grid 1)."""
    model = nn.Sequential(nn.Identity(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 2, bias=False))
    model[3].weight.data = torch.stack([torch.zeros(4), weights.flatten()])
    return model.eval()


def test_fused_layers_by_hand() -> None:
    # HiResCAM at "1" is W * mean of the 2 x 2 block: [[1, 0], [0, 4]], over its maximum [[1/4, 0], [0, 1]]. At "0" each
    # pixel counts W / 4 times itself: with ones where the blocks are, [[1/4 (4 times), 0], [0, 1 (4 times)]] / 1.
    image = torch.zeros(1, 4, 4)
    image[0, :2, :2] = 1
    image[0, 2:, 2:] = 1
    image[0, 3, 3] = 2  # the block's mean is 5/4; its pixels are 1, 1, 1 and 2
    model = linear(torch.tensor([[1.0, 0.0], [0.0, 4.0]]))
    fine, coarse = attend(model, image, layer=["0", "1"], method="hirescam", target=1)
    assert fine.map.tolist() == [[0.25, 0.25, 0, 0], [0.25, 0.25, 0, 0], [0, 0, 1, 1], [0, 0, 1, 2]]
    assert coarse.map.tolist() == [[1, 0], [0, 5]]
    for by, at_corner, beside in (("max", 0.2, 0.15), ("mean", (0.125 + 0.2) / 2, (0.125 + 0.15) / 2)):
        fused = attend(model, image, layer=FusedLayers("0", "1", by=by), method="hirescam", target=1)
        # Bilinear, the corner cells of 2 x 2 stay what they are at the corners of 4 x 4, and beside them count 3/4.
        assert fused.map[0, :2].tolist() == pytest.approx([at_corner, beside])
        assert fused.map[3, 3] == 1.0
        assert fused.map.shape == (4, 4)
        assert fused.layer == f"{by} of 0, 1"
        assert fused.layout == f"{by} of 2 layers, 4 x 4"


def test_fused_layers_are_scaled_image_by_image() -> None:
    # As by hand above, with a half of the upper left block, three times as bright, and layers from coarse to fine.
    image = torch.zeros(1, 4, 4)
    image[0, :2, :2], image[0, 2:, 2:] = 0.5, 1
    model, both = linear(torch.tensor([[1.0, 0.0], [0.0, 4.0]])), FusedLayers("1", "0", by="mean")
    images = torch.stack([image, 3 * image, 0 * image])
    dark, bright, black = attend_batch(model, images, layer=both, method="hirescam", target=1)
    assert dark.map[0, 0] == pytest.approx(0.125)
    assert dark.map[3, 3] == 1.0
    np.testing.assert_allclose(bright.map, dark.map, rtol=1e-6)
    assert not black.map.any()
    assert dark.layout == "mean of 2 layers, 4 x 4"


def test_fused_layers_are_no_call_of_one_of_them() -> None:
    twice = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(3, 4, 1), twice, twice, nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    fused = attend(model.eval(), image, layer=FusedLayers("1", "3"), method="layercam", target=1)
    assert (fused.layer_call, fused.layer_calls) == (1, 1)


def test_fused_layers_for_several_methods(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    both = FusedLayers("stem", "layer")
    together = attend(classifier, picture, layer=both, method=["gradcam", "layercam"], target=2)
    for item in together:
        alone = attend(classifier, picture, layer=both, method=item.method, target=2)
        np.testing.assert_allclose(item.map, alone.map, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FusedLayers("layer"), "FusedLayers has 1 layers; accepted: two or more"),
        (lambda: FusedLayers("stem", "layer", by="mena"), "no way to fuse by 'mena'. Did you mean 'mean'"),
    ],
)
def test_wrong_fused_layers(make: Any, said: str) -> None:
    with pytest.raises(LayerError, match=said):
        make()


def test_fused_layers_stand_alone(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    layers: Any = [FusedLayers("stem", "layer"), "stem"]
    with pytest.raises(LayerError, match=r"a list of layers holds FusedLayers\(\.\.\.\); accepted: FusedLayers alone"):
        attend(classifier, picture, layer=layers)


def test_smoothing_is_the_mean_over_six_versions(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    maps = []
    target = attend(classifier, picture, layer="layer").target
    for factor in (0.9, 1.0, 1.1):
        maps.append(attend(classifier, picture * factor, layer="layer", target=target).map)
        maps.append(attend(classifier, picture.flip(-1) * factor, layer="layer", target=target).map[:, ::-1])
    found = attend(classifier, picture, layer="layer", smooth=True)
    np.testing.assert_allclose(found.map, np.mean(maps, axis=0), rtol=1e-5, atol=1e-9)
    assert found.target == target


def test_smoothing_hands_on_the_options_and_the_seed(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    given: dict[str, Any] = {"method": "rise", "method_options": {"masks": 20, "cells": 2}, "seed": 5, "target": 1}
    maps = []
    for factor in (0.9, 1.0, 1.1):
        maps.append(attend(classifier, picture * factor, **given).map)
        maps.append(attend(classifier, picture.flip(-1) * factor, **given).map[:, ::-1])
    found = attend(classifier, picture, smooth=True, **given)
    np.testing.assert_allclose(found.map, np.mean(maps, axis=0), rtol=1e-4, atol=1e-7)


class Noisy(nn.Sequential):
    """Draws what its scores read of the layer."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (self[0](images) * torch.rand(8, 8)).mean(dim=(2, 3))  # type: ignore[no-any-return]


def test_smoothing_draws_for_each_version_what_it_draws_for_the_first(picture: torch.Tensor, seeded: None) -> None:
    model, maps = Noisy().eval(), []
    given: dict[str, Any] = {"layer": "0", "method": "layercam", "target": 1}
    for factor in (0.9, 1.0, 1.1):
        maps.append(attend(model, picture * factor, **given).map)
        maps.append(attend(model, picture.flip(-1) * factor, **given).map[:, ::-1])
    found = attend(model, picture, smooth=True, **given)
    np.testing.assert_allclose(found.map, np.mean(maps, axis=0), rtol=1e-4, atol=1e-7)


class Brightness(nn.Module):
    """Goes one way for bright images, and another one for the others."""

    def __init__(self) -> None:
        super().__init__()
        self.day, self.night = nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (self.day if images.mean() > 1.05 else self.night)(images).mean(dim=(2, 3))


def test_smoothing_takes_no_mean_over_different_layers() -> None:
    said = r"the layer .* found for the input is 'night', and for a version of it 'day', .* name the layer"
    with pytest.raises(LayerError, match=said):
        attend(Brightness().eval(), torch.ones(3, 8, 8), target=1, smooth=True)


def test_smoothing_takes_every_method_and_batch(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    other = picture.roll(2, -1)
    both = attend_batch(classifier, torch.cat([picture, other]), layer="layer", method="layercam", smooth=True)
    alone = attend(classifier, other, layer="layer", method="layercam", smooth=True)
    np.testing.assert_allclose(both[1].map, alone.map, rtol=1e-5, atol=1e-9)


def test_a_target_that_is_ignored_is_told_once(
    classifier: nn.Sequential, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "_registered", {})

    @register_method("brightest")
    def brightest(activations: torch.Tensor) -> torch.Tensor:
        return activations.sum(dim=1)

    explaining._told.discard("brightest")
    with pytest.warns(TargetIgnoredWarning, match="brightest has the same map for every target: target=2"):
        told = attend(classifier, picture, layer="layer", method="brightest", target=2)
    again = attend(classifier, picture, layer="layer", method="brightest", target=3)  # an error if it warned
    assert np.array_equal(told.map, again.map)
    assert (told.target, again.target) == (2, 3)


@pytest.mark.parametrize("method", ["random", "eigencam", ["eigencam", "random", "gradcam"]])
def test_smoothing_tells_of_the_targets_that_were_given(
    classifier: nn.Sequential, picture: torch.Tensor, method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "_told", set())
    given: dict[str, Any] = {"layer": "layer", "method": method, "smooth": True}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        attend(classifier, picture, **given)
        assert not told, "no target is given"
        attend(classifier, picture, target=2, **given)
        attend(classifier, picture, target=3, **given)
    ignored = [name for name in ([method] if isinstance(method, str) else method) if name != "gradcam"]
    assert [str(each.message).partition(" changes")[0] for each in told] == [
        f"{name} has the same map for every target: target=2" for name in ignored
    ]
    assert {each.filename for each in told} == {__file__}


def test_perturbation_explains_the_same_target_as_gradients_do(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    # The score is linear in the layer's output. So what it loses without channel k is the sum of G_k A_k, which is what
    # the weight of Grad-CAM, the mean of G_k, is to be multiplied with: here all G_k are constant over the grid.
    names = ["ant", "bee", "cat", "dog", "eel"]
    for target in ("dog", 3, ClassLogit("dog"), ContrastiveLogit("dog", versus="cat"), lambda row: row[3] - row[2]):
        found = attend(classifier, picture, layer="layer", method="ablationcam", target=target, class_names=names)
        activations = classifier.layer(classifier.stem(picture)).detach()[0]
        versus = 2 if callable(target) and not isinstance(target, ClassLogit) else None
        row = classifier.head.weight[3] - (0 if versus is None else classifier.head.weight[versus])
        weights = row.detach() * activations.mean(dim=(1, 2)) / abs(found.score)
        expected = (weights[:, None, None] * activations).sum(dim=0).relu().numpy()
        np.testing.assert_allclose(found.map, expected, rtol=1e-4, atol=1e-6)


def test_eigencam_tells_of_an_ignored_target_once(python: list[str]) -> None:
    code = """
import torch, warnings
from torch import nn
from pytest_cam import ClassLogit, attend
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
image = torch.rand(1, 3, 8, 8)
with warnings.catch_warnings(record=True) as given:
    warnings.simplefilter("always")
    attend(model, image, layer="0", method="eigencam")
    assert not given, "no target is given"
    for target in (2, ClassLogit(3), [0, 1]):
        attend(model, image, layer="0", method=["gradcam", "eigencam"], target=target)
print([(each.category.__name__, str(each.message), each.filename) for each in given])
"""
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, check=True)
    ((category, message, place),) = ast.literal_eval(done.stdout)
    assert category == "TargetIgnoredWarning"
    assert message.startswith("eigencam has the same map for every target: target=2 changes only what the message")
    assert place == "<string>"  # the user's line


def test_first_map_does_not_import_sympy() -> None:
    code = """
import sys, torch.utils.checkpoint  # which does so itself in torch 2.4 to 2.6
from torch import nn
before = "sympy" in sys.modules
from pytest_cam import attend
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).eval()
attend(model, torch.rand(1, 3, 8, 8), layer="0", target=1)
print(before, "sympy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = done.stdout.split()
    assert after == before


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (lambda row: row[0], "finercam compares the explained class with others, and target is a callable; accepted"),
        ([0, lambda row: row[0]], "target is a callable"),
    ],
)
def test_finercam_explains_classes_only(
    classifier: nn.Sequential, picture: torch.Tensor, target: Any, said: str
) -> None:
    with pytest.raises(MethodError, match=said):
        attend(classifier, picture, layer="layer", method="finercam", target=target)
    assert attend(classifier, picture, layer="layer", method="finercam", target=ClassLogit(1)).target == 1


@pytest.mark.parametrize("target", [None, 0, 1])
def test_finercam_of_a_single_logit(picture: torch.Tensor, target: int | None) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)).eval()
    with pytest.raises(MethodError, match=r"this model has 1 logit\. A model of at least 2 classes is accepted"):
        attend(model, picture, layer="0", method="finercam", target=target)


def test_finercam_of_a_batch_is_that_of_its_images(classifier: nn.Sequential) -> None:
    pictures = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    together = attend_batch(classifier, pictures, layer="stem", method="finercam", target=[0, 3, None])
    for picture, found, target in zip(pictures, together, [0, 3, None], strict=True):
        alone = attend(classifier, picture, layer="stem", method="finercam", target=target)
        np.testing.assert_allclose(found.map, alone.map, rtol=1e-4, atol=1e-7)


class Shared(nn.Module):
    """Its activation runs three times, the last time on what has no grid."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.act = nn.ReLU()
        self.hidden, self.head = nn.Linear(4, 6), nn.Linear(6, 5)

    def before(self, images: torch.Tensor, call: int) -> torch.Tensor:
        first = self.act(self.first(images))
        return first if call == 1 else self.act(self.second(first))

    def after(self, features: torch.Tensor, call: int) -> torch.Tensor:
        last = self.act(self.second(features)) if call == 1 else features
        return self.head(self.act(self.hidden(last.mean(dim=(2, 3)))))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.after(self.before(images, 2), 2)


@pytest.mark.parametrize(("given", "call"), [({"layer": "act", "layer_call": 1}, 1), ({}, 2)])
def test_ablationcam_changes_the_execution_that_is_explained(given: Any, call: int, picture: torch.Tensor) -> None:
    model = Shared().eval()
    found = attend(model, picture, method="ablationcam", target=1, **given)
    assert (found.layer, found.layer_call, found.layer_calls) == ("act", call, 3)
    with torch.no_grad():
        activations = model.before(picture, call)
        score = model.after(activations, call)[0, 1]
        expected = torch.zeros(8, 8)
        for channel in range(4):
            changed = activations.clone()
            changed[:, channel] = 0
            expected += (score - model.after(changed, call)[0, 1]) / score.abs() * activations[0, channel]
    np.testing.assert_allclose(found.map, expected.relu().numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("given", "call"), [({"layer": "act", "layer_call": 1}, 1), ({}, 2)])
def test_noisy_copies_are_traced_at_the_execution_that_is_explained(
    given: Any, call: int, picture: torch.Tensor
) -> None:
    model, options = Shared().eval(), {"noise": 0.0, "samples": 3}
    found = attend(model, picture, method="smoothgradcam++", target=1, method_options=options, **given)
    plain = attend(model, picture, method="gradcam++", target=1, **given)
    assert (found.layer_call, found.layer_calls) == (call, 3)
    np.testing.assert_allclose(found.map, plain.map, rtol=1e-4, atol=1e-7)


class Detached(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.detach()


@pytest.mark.parametrize("method", ["gradcam", "shapleycam", "finercam", "smoothgradcam++"])
def test_methods_of_gradients_say_alike_that_no_path_leads_to_the_score(
    classifier: nn.Sequential, picture: torch.Tensor, method: str
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), Detached(), classifier).eval()
    with pytest.raises(IndependentScoreError, match=r"^the score of class 1 does not depend on layer 0: no path leads"):
        attend_batch(model, picture.expand(2, -1, -1, -1), layer="0", method=method, target=1)


@pytest.mark.parametrize("method", ["gradcam", "ablationcam", "scorecam"])
def test_a_score_that_depends_on_nothing_is_an_error(
    classifier: nn.Sequential, picture: torch.Tensor, method: str
) -> None:
    nn.init.zeros_(classifier.head.weight)
    with pytest.raises(IndependentScoreError, match=r"^the score of class 1 does not depend on "):
        attend(classifier, picture, layer="layer", method=method, target=1)


def test_masks_of_a_black_image_are_an_error(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    images = torch.cat([picture, torch.zeros_like(picture)])
    with pytest.raises(MethodError, match=r"^scorecam compares .* is zero everywhere for image 1 of the batch: each"):
        attend_batch(classifier, images, layer="layer", method="scorecam", target=1)


@pytest.mark.parametrize("method", ["gradcam", "ablationcam", "scorecam"])
def test_a_score_that_depends_on_nothing_is_an_error_on_a_black_image_too(
    classifier: nn.Sequential, picture: torch.Tensor, method: str
) -> None:
    nn.init.zeros_(classifier.head.weight)
    with pytest.raises(IndependentScoreError, match=r"^the score of class 1 does not depend on "):
        attend(classifier, torch.zeros_like(picture), layer="layer", method=method, target=1)


def test_masks_that_leave_one_channel_say_nothing_of_what_the_score_depends_on(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    classifier.layer = nn.Conv2d(4, 1, 1)
    classifier.head = nn.Linear(1, 5)
    classifier.eval()
    assert attend(classifier, picture, layer="layer", method="scorecam", target=1).map.shape == (8, 8)


@pytest.mark.parametrize(
    ("named", "indexed"),
    [(ContrastiveLogit("a", "b"), ContrastiveLogit(0, 1)), (ClassProbability("a"), ClassProbability(0))],
)
@pytest.mark.parametrize("method", ["ablationcam", "scorecam"])
def test_names_in_targets_are_known_to_methods_that_change_the_input_or_the_layer(
    classifier: nn.Sequential, picture: torch.Tensor, method: str, named: Any, indexed: Any
) -> None:
    found = attend(classifier, picture, layer="layer", method=method, target=named, class_names=list("abcde"))
    assert np.array_equal(found.map, attend(classifier, picture, layer="layer", method=method, target=indexed).map)


def test_a_registered_method_may_write_to_the_input_that_it_gets(
    classifier: nn.Sequential, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "_registered", {})

    @register_method("clearing")
    def clearing(inputs: torch.Tensor, score: float) -> torch.Tensor:
        return inputs.zero_().sum(dim=1)

    before = picture.clone()
    attend(classifier, picture, method="clearing")
    assert torch.equal(picture, before)


@pytest.mark.parametrize("seed", [np.int64(3), np.uint8(3)])
def test_a_seed_of_numpys_is_the_same_seed(classifier: nn.Sequential, picture: torch.Tensor, seed: Any) -> None:
    expected, other, found = (
        attend(classifier, picture, layer="layer", method="random", seed=each).map for each in (3, 4, seed)
    )
    np.testing.assert_array_equal(found, expected)
    assert (found != other).any()


def test_finercam_of_a_callable_and_a_seed_of_too_many_bits_are_errors(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    with pytest.raises(MethodError, match="and target is a callable"):
        attend(classifier, picture, layer="layer", method="finercam", target=lambda scores: scores[0])
    with pytest.raises(KeywordError, match="an integer of 64 bits"):
        attend(classifier, picture, layer="layer", method="random", seed=2**70)


def test_curvature_flows_through_attention() -> None:
    torch.manual_seed(0)
    model = VisionTransformer(32, 16, 2, 2, 16, 32, num_classes=5).eval()
    nn.init.normal_(model.heads.head.weight)
    assert attend(model, torch.randn(1, 3, 32, 32), method="shapleycam").map.any()


class _Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(value)
        return value * value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return 2 * ctx.saved_tensors[0] * gradient


class _Cubed(torch.autograd.Function):
    """Its backward is NumPy's, which autograd does not see."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(value)
        return value**3

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (value,) = ctx.saved_tensors
        return torch.from_numpy(3 * value.detach().numpy() ** 2 * gradient.detach().numpy())


class Tail(nn.Module):
    """A layer, and after it something that cannot be differentiated twice."""

    def __init__(self, tail: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.tail, self.head = nn.Conv2d(3, 4, 3), tail, nn.Linear(4, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.tail(self.layer(images)).mean(dim=(2, 3)))


class Square(nn.Module):
    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return _Squared.apply(seen)


class Cube(nn.Module):
    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return _Cubed.apply(seen) + seen**2


class Deformed(nn.Module):
    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return deform_conv2d(seen, torch.zeros(1, 2, *seen.shape[2:]), torch.ones(4, 4, 1, 1))


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (Square(), "_Squared is marked with @once_differentiable"),
        (Cube(), "the backward of _Cubed leaves the graph"),
        (Deformed(), "double backwards on deform_conv2d"),
    ],
)
def test_shapleycam_says_where_there_are_no_second_derivatives(
    tail: nn.Module, reason: str, picture: torch.Tensor
) -> None:
    model = Tail(tail).eval()
    said = rf"needs second derivatives of the score at layer, .* has none: {reason}.*first derivatives"
    with pytest.raises(MethodError, match=said):
        attend(model, picture, layer="layer", method="shapleycam", target=0)
    assert attend(model, picture, layer="tail", method="shapleycam", target=0).map is not None
    assert attend(model, picture, layer="layer", method="gradcam", target=0).map is not None


class _Stopped(torch.autograd.Function):
    """Lets no gradient through."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return torch.zeros(gradient.shape)


class Stopped(nn.Module):
    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return _Stopped.apply(seen) + seen**3


class Cubed(nn.Module):
    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return seen.detach() + seen**3


def test_a_backward_that_returns_zeros_needs_no_second_derivatives(picture: torch.Tensor) -> None:
    found = attend(Tail(Stopped()).eval(), picture, layer="layer", method="shapleycam", target=0)
    plain = attend(Tail(Cubed()).eval(), picture, layer="layer", method="shapleycam", target=0)
    np.testing.assert_allclose(found.map, plain.map)


class Halves(nn.Module):
    """Detects one object in the left and one in the right half, each scored by the mean of its half."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.ones_(self.look.weight)

    def forward(self, images: torch.Tensor) -> Any:
        halves = self.look(images).chunk(2, dim=3)
        boxes = torch.tensor([[0.0, 0, 4, 8], [4, 0, 8, 8]])
        scores = torch.stack([half.mean(dim=(1, 2, 3)) for half in halves], dim=1)
        return [{"boxes": boxes, "scores": row, "labels": torch.ones(2, dtype=torch.long)} for row in scores]


def test_smoothing_mirrors_what_lies_in_the_image() -> None:
    mask = np.zeros((8, 8), bool)
    mask[:, :4] = True
    segmenter = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False))
    nn.init.ones_(segmenter[0].weight)
    cases: list[tuple[nn.Module, str, Any]] = [
        (Halves(), "look", DetectionBox((0, 0, 4, 8))),
        (segmenter, "0", SegmentationMask(1, mask)),
        (segmenter, "0", SegmentationMask(1, (0, 0, 4, 8))),
    ]
    for model, layer, target in cases:
        found = attend(model, torch.ones(1, 3, 8, 8), layer=layer, method="hirescam", target=target, smooth=True)
        assert (found.map[:, :4] > 0).all()
        assert not found.map[:, 4:].any()


class Found(Halves):
    """Detects only what is bright enough."""

    def forward(self, images: torch.Tensor) -> Any:
        return [{key: each[one["scores"] > 2.9] for key, each in one.items()} for one in super().forward(images)]


def test_smoothing_says_that_a_darker_version_loses_the_object() -> None:
    with pytest.raises(TargetError, match="the model detects nothing in this image"):
        attend(Found(), torch.ones(3, 8, 8), layer="look", target=DetectionBox((0, 0, 4, 8)), smooth=True)


def test_smoothing_explains_the_pixels_that_the_image_was_predicted_at() -> None:
    # Class 1 is about 1 everywhere, and class 0 is the brightness: 0.95 at the left, 2 at the right. So the left is of
    # class 1 in the image as it is, and no pixel is in a brighter version.
    segmenter = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.Conv2d(1, 2, 1))
    for parameter, values in zip(segmenter.parameters(), ([1 / 3] * 3, [1.0, 0.01], [0.0, 0.99]), strict=True):
        parameter.data = torch.tensor(values).view(parameter.shape)
    image = torch.full((1, 3, 8, 8), 2.0)
    image[..., :4] = 0.95
    given: dict[str, Any] = {"layer": "0", "method": "hirescam"}
    found = attend(segmenter, image, target=SegmentationMask(1), smooth=True, **given)
    mask = np.zeros((8, 8), bool)
    mask[:, :4] = True
    expected = attend(segmenter, image, target=SegmentationMask(1, mask), smooth=True, **given)
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-6)


def test_ablation_goes_on_where_two_images_do_not_fit(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    class Short(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = classifier

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if len(images) > 1:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return self.inner(images)

    expected = attend(classifier, picture, layer="layer", method="ablationcam", target=1).map
    found = attend(Short().eval(), picture, layer="inner.layer", method="ablationcam", target=1).map
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
