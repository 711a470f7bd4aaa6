"""One forward pass, a gradient that stops at the layer, and an error for whatever would make the map a lie."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import attend, attend_batch
from pytest_cam.engine.model.state import ModelState
from pytest_cam.engine.passes.trace import trace
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import IndependentScoreError, LayerError, ModelError, NonFiniteError

LAYERS = ["stem", "layer", None]


def same_map(found: Any, expected: Any) -> bool:
    """Return whether two maps are the same but for rounding: torch's own networks may run with the channels last."""
    assert float(expected.map.max()) > 0
    return bool(np.allclose(found.map, expected.map, rtol=1e-5, atol=1e-6 * float(expected.map.max())))


class Wrapped(nn.Module):
    """The classifier run by another function: what a test wants to know about is in that function."""

    def __init__(self, classifier: nn.Sequential, run: Callable[[Any, torch.Tensor], Any]) -> None:
        super().__init__()
        for name, module in classifier.named_children():
            self.add_module(name, module)
        self.run = run

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.flatten(self.pool(features)))

    def forward(self, images: torch.Tensor) -> Any:
        return self.run(self, images)


@pytest.mark.parametrize("layer", LAYERS)
def test_one_forward_pass(classifier: nn.Sequential, picture: torch.Tensor, layer: str | None) -> None:
    passes = []
    classifier.register_forward_pre_hook(lambda *_: passes.append("forward"))
    attend(classifier, picture, layer=layer)
    assert passes == ["forward"]


def test_one_forward_pass_for_a_batch(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    passes = []
    classifier.register_forward_pre_hook(lambda _, args: passes.append(len(args[0])))
    for _ in range(2):
        attend_batch(classifier, torch.cat([picture] * 3), layer="layer", target=[0, 1, 2])
    assert passes == [3, 1, 3]  # a model that runs code of the user is compared with one image, once


@pytest.mark.parametrize("frozen_backbone", [False, True])
def test_graph_begins_at_the_layer(classifier: nn.Sequential, picture: torch.Tensor, frozen_backbone: bool) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        features = net.stem(images)
        with torch.no_grad() if frozen_backbone else nullcontext():
            features = net.layer(features)
        return net.classify(features)

    graphs: dict[str, bool] = {}
    for name, module in classifier.named_children():
        module.register_forward_hook(lambda _, __, output, name=name: graphs.update({name: output.requires_grad}))
    for parameter in classifier.parameters():
        parameter.register_hook(lambda gradient: pytest.fail("a parameter's gradient was computed"))
    attend(Wrapped(classifier, run), picture, layer="layer")
    # Our hook comes after this one, so the layer's own output is still without a graph.
    assert graphs == {"stem": False, "layer": False, "pool": True, "flatten": True, "head": True}


@pytest.mark.parametrize("layer", LAYERS)
def test_frozen_parameters_change_nothing(classifier: nn.Sequential, picture: torch.Tensor, layer: str | None) -> None:
    expected = attend(classifier, picture, layer=layer)
    assert same_map(attend(classifier.requires_grad_(False), picture, layer=layer), expected)


def backbone_without_gradients(net: Any, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        features = net.layer(net.stem(images))
    return net.classify(features)


def pooled_without_gradients(net: Any, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        features = net.pool(net.layer(net.stem(images)))
    return net.head(net.flatten(features))


@torch.no_grad()
def all_without_gradients(net: Any, images: torch.Tensor) -> torch.Tensor:
    return net.classify(net.layer(net.stem(images)))


def gradients_left_off(net: Any, images: torch.Tensor) -> torch.Tensor:
    scores = net.classify(net.layer(net.stem(images)))
    torch.set_grad_enabled(False)
    return scores


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "run", [backbone_without_gradients, pooled_without_gradients, all_without_gradients, gradients_left_off]
)
def test_model_that_switches_gradients_off_has_the_same_map(
    classifier: nn.Sequential, picture: torch.Tensor, layer: str | None, run: Any
) -> None:
    expected = attend(classifier, picture, layer=layer)
    found = attend(Wrapped(classifier, run), picture, layer=layer)
    assert found.layer == expected.layer
    assert same_map(found, expected)


def written_to_a_view(net: Any, images: torch.Tensor) -> torch.Tensor:
    features = net.layer(net.stem(images))
    for channel in features.unbind(1):
        channel.relu_()
    return net.classify(features)


def written_to_what_is_needed(net: Any, images: torch.Tensor) -> torch.Tensor:
    features = net.layer(net.stem(images)).sigmoid()
    return net.classify(features.mul_(2))


def written_to_given_memory(net: Any, images: torch.Tensor) -> torch.Tensor:
    features = net.layer(net.stem(images))
    return net.classify(torch.clamp(features, min=0, out=torch.empty_like(features)))


def through_numpy(net: Any, images: torch.Tensor) -> torch.Tensor:
    return net.classify(torch.from_numpy(net.layer(net.stem(images)).numpy()).relu())


def rectified(net: Any, images: torch.Tensor) -> torch.Tensor:
    return net.classify(net.layer(net.stem(images)).relu())


NOT_DIFFERENTIABLE = {
    "view": (written_to_a_view, "is a view and is being modified inplace"),
    "needed": (written_to_what_is_needed, "has been modified by an inplace operation.*expected version 0 instead"),
    "out": (written_to_given_memory, "don't support automatic differentiation, but one of the arguments requires grad"),
    "numpy": (through_numpy, r"Can't call numpy\(\) on Tensor that requires grad"),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", NOT_DIFFERENTIABLE)
def test_model_that_runs_only_without_gradients_is_an_error(
    kind: str, classifier: nn.Sequential, picture: torch.Tensor, layer: str | None
) -> None:
    run, words = NOT_DIFFERENTIABLE[kind]
    with pytest.raises(ModelError, match=rf"runs without gradients, and with them it does not: .*{words}\. .*scorecam"):
        attend(Wrapped(classifier, run), picture, layer=layer)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("method", ["eigencam", "scorecam", "ablationcam"])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("run", [written_to_a_view, written_to_given_memory, through_numpy])
def test_method_without_gradients_explains_a_model_that_has_none(
    run: Any, layer: str | None, method: str, classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    expected = attend(Wrapped(classifier, rectified), picture, layer=layer, method=method)
    found = attend(Wrapped(classifier, run), picture, layer=layer, method=method)
    assert found.layer == expected.layer
    assert same_map(found, expected)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("method", ["gradcam", "eigencam"])
def test_error_of_the_model_itself_stays_its_own(method: str, classifier: nn.Sequential, picture: torch.Tensor) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        return net.head(net.layer(net.stem(images)))

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        attend(Wrapped(classifier, run), picture, layer="layer", method=method)


def test_second_pass_for_a_frozen_backbone_starts_where_the_first_did(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    drawn = []

    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        net.count += 1
        drawn.append((int(net.count), float(torch.rand(1))))
        return backbone_without_gradients(net, images)

    model = Wrapped(classifier, run)
    model.register_buffer("count", torch.tensor(0))
    attend(model, picture, layer="layer")
    assert len(drawn) == 2
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("layer", LAYERS)
def test_under_inference_mode(classifier: nn.Sequential, picture: torch.Tensor, layer: str | None) -> None:
    expected = attend(classifier, picture, layer=layer)
    with torch.inference_mode():
        assert same_map(attend(classifier, picture.clone(), layer=layer), expected)
        made_there = picture * 1
    assert same_map(attend(classifier, made_there, layer=layer), expected)
    (found,) = attend_batch(classifier, made_there, layer=layer)
    assert same_map(found, expected)


def test_input_made_under_inference_mode_is_an_ordinary_one_to_the_model(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    with torch.inference_mode():
        made_there = picture * 1
    # The graph keeps what multiplies the layer's output, and can keep no tensor of inference_mode.
    model = Wrapped(classifier, lambda net, images: net.classify(net.layer(net.stem(images)) * images.mean()))
    with ModelState(model) as state:
        subject = Subject(model, state, 1)
        ((found,),) = trace(subject, made_there, "layer")
        ((expected,),) = trace(subject, picture, "layer")
    assert torch.equal(found.activations, expected.activations)
    assert torch.equal(found.gradients, expected.gradients)


def test_view_from_before_the_layer_may_be_written_to_after_it(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    def out_of_place(net: Any, images: torch.Tensor) -> torch.Tensor:
        features = net.stem(images)
        return net.head((features.flatten(2) + net.layer(features).flatten(2)).mean(dim=2))

    def in_place(net: Any, images: torch.Tensor) -> torch.Tensor:
        features = net.stem(images)
        shortcut = features.flatten(2)
        refined = net.layer(features)
        shortcut += refined.flatten(2)
        return net.head(shortcut.mean(dim=2))

    expected = attend(Wrapped(classifier, out_of_place), picture, layer="layer")
    assert same_map(attend(Wrapped(classifier, in_place), picture, layer="layer"), expected)


def test_shared_module_is_explained_at_its_last_execution(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        first, second, third = net.relus
        return net.classify(third(net.layer(second(net.layer(first(net.stem(images)))))))

    shared, separate = Wrapped(classifier, run), Wrapped(classifier, run)
    shared.relus = nn.ModuleList([nn.ReLU(inplace=True)] * 3)
    separate.relus = nn.ModuleList(nn.ReLU() for _ in range(3))
    found = attend(shared, picture, layer="relus.0")
    assert found.layer_calls == 3
    expected = attend(separate, picture, layer="relus.2")
    assert expected.layer_calls == 1
    assert same_map(found, expected)
    first = attend(separate, picture, layer="relus.0")
    assert not same_map(first, expected)
    chosen = attend(shared, picture, layer="relus.0", layer_call=1)
    assert (chosen.layer_call, chosen.layer_calls) == (1, 3)
    assert same_map(chosen, first)
    with pytest.raises(LayerError, match=r"'relus\.0' runs 3 times .* layer_call is 4; accepted: 1 to 3, or None"):
        attend(shared, picture, layer="relus.0", layer_call=4)
    for given in ({}, {"layer": "auto"}, {"method": "rise"}):
        with pytest.raises(LayerError, match=r"layer_call is 1, and no layer is named.*layer_call beside a layer"):
            attend(shared, picture, layer_call=1, **given)
    with pytest.raises(LayerError, match=r"'stem' runs once in a forward pass, and layer_call is 2"):
        attend(shared, picture, layer="stem", layer_call=2)


def test_shared_parameters_are_no_obstacle(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = net.twin(net.layer(net.stem(images)))
        return net.classify(features)

    model = Wrapped(classifier, run)
    model.twin = copy.deepcopy(model.layer)
    separate = attend(model, picture, layer="layer")
    model.twin.weight = model.layer.weight
    assert same_map(attend(model, picture, layer="layer"), separate)


def test_identity_is_the_layer_before_it_even_if_its_input_is_overwritten(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        features = net.layer(net.stem(images))
        scores = net.classify(net.identity(features))
        features.zero_()
        return scores

    expected = attend(classifier, picture, layer="layer")
    model = Wrapped(classifier, run)
    model.identity = nn.Identity()
    assert same_map(attend(model, picture, layer="identity"), expected)


class Returns(nn.Module):
    """A layer that returns its output in some container."""

    def __init__(self, layer: nn.Module, container: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.layer, self.container = layer, container

    def forward(self, images: torch.Tensor) -> Any:
        return self.container(self.layer(images))


class Named(NamedTuple):
    loss: float
    features: torch.Tensor


@pytest.mark.parametrize(
    ("container", "position"),
    [
        (lambda features: (features, "attention"), 0),
        (lambda features: [None, features], 1),
        (lambda features: Named(0.0, features), 1),
        # Twice the same tensor: both are the layer's output.
        (lambda features: (features, features), 1),
    ],
)
def test_layer_that_returns_several_things(
    classifier: nn.Sequential, picture: torch.Tensor, container: Any, position: int
) -> None:
    expected = attend(classifier, picture, layer="layer")
    model = Wrapped(classifier, lambda net, images: net.classify(net.layer(net.stem(images))[position]))
    model.layer = Returns(classifier.layer, container)
    assert same_map(attend(model, picture, layer="layer"), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_precisions(classifier: nn.Sequential, picture: torch.Tensor, dtype: torch.dtype) -> None:
    expected = attend(classifier, picture, layer="layer", target=1).map
    found = attend(classifier.to(dtype), picture.to(dtype), layer="layer", target=1).map
    assert found.dtype == np.float32
    # bfloat16 has 8 bits: 1 / 256 a number, and a few of these in a sum.
    assert np.abs(found - expected).max() < 0.03 * expected.max()


def test_output_replaced_by_a_hook_of_the_user_is_what_is_explained(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    doubled = copy.deepcopy(classifier)
    doubled.layer.weight.data *= 2
    doubled.layer.bias.data *= 2
    classifier.layer.register_forward_hook(lambda _, __, output: output * 2)
    found = attend(classifier, picture, layer="layer", method="hirescam")
    assert same_map(found, attend(doubled, picture, layer="layer", method="hirescam"))


@pytest.mark.parametrize("part", ["whole", "backbone"])
def test_compiled_model_that_has_run_before(classifier: nn.Sequential, picture: torch.Tensor, part: str) -> None:
    expected = attend(classifier, picture, layer="layer")
    if part == "whole":
        model, layer = torch.compile(classifier, backend="eager"), "layer"
    else:
        backbone = torch.compile(nn.Sequential(classifier.stem, classifier.layer), backend="eager")
        model, layer = nn.Sequential(backbone, classifier.pool, classifier.flatten, classifier.head), "0.1"
    with torch.no_grad():
        model(picture)
    assert same_map(attend(model, picture, layer=layer), expected)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("runs", [0, 2])
def test_compiled_model_whose_layer_is_found(
    classifier: nn.Sequential, picture: torch.Tensor, runs: int, grad: bool
) -> None:
    model = torch.compile(classifier, backend="eager")
    expected = attend(classifier, picture)
    with torch.set_grad_enabled(grad):
        for _ in range(runs):
            model(picture)
    assert same_map(attend(model, picture), expected)


def test_input_written_to_by_the_model_stays_as_it_was(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    before = picture.clone()
    attend(Wrapped(classifier, lambda net, images: net.classify(net.layer(net.stem(images.sub_(1))))), picture)
    assert torch.equal(picture, before)


def test_layer_that_never_runs_is_an_error(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    model = Wrapped(classifier, lambda net, images: net.classify(net.layer(net.stem(images))))
    model.auxiliary = nn.Conv2d(4, 4, 1)
    with pytest.raises(LayerError, match="layer 'auxiliary' never ran in the forward pass"):
        attend(model, picture, layer="auxiliary")


@pytest.mark.parametrize(
    ("layer", "output"),
    [("head", r"\(Linear\) has no .* tensor \(1, 5\)"), ("pool", r"\(AdaptiveAvgPool2d\) has no .* \(1, 4, 1, 1\)")],
)
def test_layer_without_a_grid_is_an_error(
    classifier: nn.Sequential, picture: torch.Tensor, layer: str, output: str
) -> None:
    with pytest.raises(LayerError, match=rf"layer '{layer}' {output}; accepted: \(B, C, h, w\), \(B, h, w, C\) or "):
        attend(classifier, picture, layer=layer)


def test_layer_that_returns_no_tensor_is_an_error(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    model = Wrapped(classifier, lambda net, images: net.classify(net.layer(net.stem(images)).features))
    model.layer = Returns(classifier.layer, lambda features: SimpleNamespace(features=features))
    with pytest.raises(LayerError, match=r"layer 'layer' \(Returns\) returns a SimpleNamespace without a tensor"):
        attend(model, picture, layer="layer")


def test_layer_that_returns_a_dict_is_explained_at_its_first_tensor_with_a_grid(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    expected = attend(classifier, picture, layer="layer", method="hirescam")
    model = Wrapped(classifier, lambda net, images: net.classify(net.layer(net.stem(images))["features"]))
    model.layer = Returns(classifier.layer, lambda features: {"size": torch.ones(1), "features": features})
    found = attend(model, picture, layer="layer", method="hirescam")
    assert same_map(found, expected)


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_several_layers_of_one_pass_are_those_of_single_ones(
    method: str, classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    passes: list[int] = []
    classifier.register_forward_hook(lambda *_: passes.append(1))
    found = attend(classifier, picture, layer=["layer", classifier.stem], method=method)
    assert len(passes) == 1
    assert [attention.layer for attention in found] == ["layer", "stem"]
    for attention in found:
        alone = attend(classifier, picture, layer=attention.layer, method=method)
        np.testing.assert_allclose(attention.map, alone.map, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([], "at least one; this one holds nothing"),
        (["stem", None], r"this one holds \['stem', None\]"),
        (["stem", "layer", "stem"], "the list of layers names 'stem' twice"),
        (["stem", "head"], r"layer 'head' \(Linear\) has no spatial extent"),
        (["stem", "lair"], "no layer 'lair'. Did you mean 'layer'"),
    ],
)
def test_wrong_list_of_layers(layers: Any, words: str, classifier: nn.Sequential, picture: torch.Tensor) -> None:
    with pytest.raises(LayerError, match=words):
        attend(classifier, picture, layer=layers)


def test_list_of_layers_is_for_one_image(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    with pytest.raises(LayerError, match="layer is a list of 2; attend_batch takes one layer"):
        attend_batch(classifier, picture, layer=["stem", "layer"])  # type: ignore[arg-type]


def test_layer_for_another_number_of_images_is_an_error(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        both = net.layer(net.stem(torch.cat([images, images.flip(3)])))
        return net.classify(both).mean(dim=0, keepdim=True)

    with pytest.raises(LayerError, match=r"output \(2, 4, 8, 8\) for 1 images, so which part belongs to which image"):
        attend(Wrapped(classifier, run), picture, layer="layer")


def test_layer_under_inference_mode_is_an_error(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            features = net.layer(net.stem(images))
        return net.classify(features)

    with pytest.raises(ModelError, match=r"runs layer 'layer' under torch\.inference_mode.*use torch\.no_grad"):
        attend(Wrapped(classifier, run), picture, layer="layer")


def test_output_that_is_overwritten_behind_the_layers_back_is_an_error(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    class Remembering(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.memory = images * 1
            return self.memory

    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        scores = net.classify(net.remembering(net.stem(images)))
        net.remembering.memory.zero_()
        return scores

    model = Wrapped(classifier, run)
    model.remembering = Remembering()
    with pytest.raises(LayerError, match="the output of layer 'remembering' is overwritten in place"):
        attend(model, picture, layer="remembering")


def side_branch(net: Any, images: torch.Tensor) -> torch.Tensor:
    features = net.stem(images)
    net.layer(features)
    return net.classify(features)


def detached(net: Any, images: torch.Tensor) -> torch.Tensor:
    return net.classify(net.layer(net.stem(images)).detach())


def second_block_without_gradients(net: Any, images: torch.Tensor) -> torch.Tensor:
    features = net.layer(net.stem(images))
    with torch.no_grad():
        return net.classify(features)


@pytest.mark.parametrize("run", [side_branch, detached, second_block_without_gradients])
def test_score_without_a_path_from_the_layer_is_an_error(
    classifier: nn.Sequential, picture: torch.Tensor, run: Any
) -> None:
    with pytest.raises(IndependentScoreError, match="score of class 2 does not depend on layer layer: no path leads"):
        attend(Wrapped(classifier, run), picture, layer="layer", target=2)


def dead(net: Any, images: torch.Tensor) -> torch.Tensor:
    return net.classify(torch.relu(net.layer(net.stem(images)) - 1e6))


def saturated(net: Any, images: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(1e6 * net.classify(net.layer(net.stem(images))))


@pytest.mark.parametrize("run", [dead, saturated])
def test_gradient_of_zeros_is_an_error(classifier: nn.Sequential, picture: torch.Tensor, run: Any) -> None:
    with pytest.raises(IndependentScoreError, match=r"class 2 .* layer layer: its gradient is exactly zero at all"):
        attend(Wrapped(classifier, run), picture, layer="layer", target=2)


def test_image_of_a_batch_whose_gradient_is_zero_is_named(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        return net.classify(net.layer(net.stem(images)) * torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1))

    with pytest.raises(IndependentScoreError, match="score of class 3 does not depend on layer layer for image 1 of"):
        attend_batch(Wrapped(classifier, run), torch.cat([picture, picture]), layer="layer", target=[2, 3])


@pytest.mark.parametrize("method", ["gradcam", "ablationcam", "smoothgradcam++"])
def test_image_of_a_batch_whose_score_reads_nothing_of_the_layer_is_named(
    classifier: nn.Sequential, picture: torch.Tensor, method: str
) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        # Of inputs below zero nothing reaches the head but its bias.
        lit = (images.mean(dim=(1, 2, 3)) > 0).to(images).reshape(-1, 1, 1, 1)
        return net.classify(net.layer(net.stem(images)) * lit)

    pictures = torch.cat([picture.abs() + 1, -1 - picture.abs()])
    with pytest.raises(
        IndependentScoreError, match=r"^the score of class 3 does not depend on layer layer for image 1 "
    ):
        attend_batch(Wrapped(classifier, run), pictures, layer="layer", method=method, target=[2, 3])


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "NaN"), (float("inf"), "infinity")])
def test_activations_that_are_not_finite_are_an_error(
    classifier: nn.Sequential, picture: torch.Tensor, value: float, kind: str
) -> None:
    def run(net: Any, images: torch.Tensor) -> torch.Tensor:
        return net.classify(net.layer(net.stem(images)).nan_to_num())

    def break_one(_: nn.Module, __: Any, output: torch.Tensor) -> None:
        output[0, 0, 0, 0] = value

    classifier.layer.register_forward_hook(break_one)
    with pytest.raises(NonFiniteError, match=f"{kind} in the activations at layer layer: 1 of 256 values"):
        attend(Wrapped(classifier, run), picture, layer="layer")


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "NaN"), (float("-inf"), "infinity")])
def test_scores_that_are_not_finite_are_an_error(
    classifier: nn.Sequential, picture: torch.Tensor, value: float, kind: str
) -> None:
    classifier.head.bias.data[1] = value
    with pytest.raises(NonFiniteError, match=f"{kind} in the scores of target class 1: 1 of 1 values"):
        attend(classifier, picture, layer="layer", target=1)


@pytest.mark.parametrize(
    ("slope", "kind"),
    [
        # d sqrt(u) / du at 0 is infinite, and 0 times that is NaN.
        (lambda row: (row[1] - row[1].detach()).sqrt(), "infinity"),
        (lambda row: (row[1] * 0).sqrt(), "NaN"),
    ],
)
def test_gradients_that_are_not_finite_are_an_error(
    classifier: nn.Sequential, picture: torch.Tensor, slope: Any, kind: str
) -> None:
    with pytest.raises(NonFiniteError, match=f"{kind} in the gradients of <lambda> at layer layer: 256 of 256 values"):
        attend(classifier, picture, layer="layer", target=slope)


def test_image_and_class_that_are_not_finite_are_named(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    classifier.head.bias.data[3] = float("nan")
    with pytest.raises(NonFiniteError, match="NaN in the scores of target class 3 for image 1 of the batch"):
        attend_batch(classifier, torch.cat([picture, picture]), layer="layer", target=[2, 3])


def test_large_activations_are_finite_although_their_sum_is_not(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    # 256 values of about 1e38 each: their sum leaves float32, and they do not.
    classifier.layer.bias.data += 1e38
    model = Wrapped(classifier, lambda net, images: net.classify(1e-38 * net.layer(net.stem(images))))
    assert float(attend(model, picture, layer="layer", target=1, method="layercam").map.max()) > 0
