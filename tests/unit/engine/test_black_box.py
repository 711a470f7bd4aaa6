"""Models that are no modules in Python: callables, arrays, ONNX Runtime, TorchScript, and quantised modules."""

from __future__ import annotations

import io
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

import pytest_cam.engine.methods as registry
from pytest_cam import AttentionError, assert_attention_in_region, attend, attend_batch, register_method
from pytest_cam.attention import Attention
from pytest_cam.errors import MethodError, ModelError, OutputError

METHODS = ("rise", "occlusion")
OPTIONS: dict[str, dict[str, int]] = {"rise": {"masks": 32, "cells": 4}, "occlusion": {"window": 3}}


@pytest.fixture
def network() -> nn.Sequential:
    """Five classes; its dropout and batch statistics are another function in train mode."""
    torch.manual_seed(0)
    model = nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(3, 4, 3, padding=1),
            norm=nn.BatchNorm2d(4),
            drop=nn.Dropout(0.5),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            head=nn.Linear(4, 5),
        )
    )
    # Statistics that batch normalisation could have found, so that it is not the identity.
    model.norm.running_mean.copy_(torch.tensor([0.1, -0.2, 0.0, 0.3]))
    model.norm.running_var.copy_(torch.tensor([0.5, 2.0, 1.0, 0.3]))
    return model.eval()


def explained(model: Any, picture: torch.Tensor, method: str, **settings: Any) -> Attention:
    return attend(model, picture, method=method, method_options=OPTIONS[method], **settings)


def scripted(network: nn.Module, picture: torch.Tensor | None = None) -> Any:
    """Return a module of TorchScript that was saved and loaded: scripted, or traced with a picture."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript announces its end
        torch.jit.save(torch.jit.script(network) if picture is None else torch.jit.trace(network, picture), file)
        file.seek(0)
        return torch.jit.load(file)


def frozen(network: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.freeze(torch.jit.script(network))


def quantised(network: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to move this elsewhere
        found: nn.Module = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    return found


def session(
    network: nn.Sequential,
    *,
    batch: int | str = "N",
    kind: Any = np.float32,
    features: bool = False,
    gate: bool = False,
) -> Any:
    """Return a session of ONNX Runtime that computes what the network does.

    Args:
        network: Whose weights it takes.
        batch: Its batch size, or the name of a free one.
        kind: The type of its input, which it computes with as float32.
        features: Whether it returns what the last layer reads, too.
        gate: Whether it takes a second input, which the scores are multiplied by.
    """
    h, element = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        h.make_node("Cast", ["image"], ["pixels"], to=element),
        h.make_node("Conv", ["pixels", "stem.weight", "stem.bias"], ["seen"], pads=[1, 1, 1, 1]),
        h.make_node("BatchNormalization", ["seen", *(f"norm.{name}" for name in NORM)], ["even"], epsilon=1e-5),
        h.make_node("GlobalAveragePool", ["even"], ["pooled"]),
        h.make_node("Flatten", ["pooled"], ["features"]),
        h.make_node("Gemm", ["features", "head.weight", "head.bias"], ["logits"], transB=1),
        *([h.make_node("Mul", ["logits", "gate"], ["scores"])] if gate else []),
    ]
    weights = {name: value.numpy() for name, value in network.state_dict().items() if value.ndim}
    inputs = [h.make_tensor_value_info("image", h.np_dtype_to_tensor_dtype(np.dtype(kind)), [batch, 3, 8, 8])]
    inputs += [h.make_tensor_value_info("gate", element, [1])] if gate else []
    outputs = [h.make_tensor_value_info("scores" if gate else "logits", element, [batch, 5])]
    outputs += [h.make_tensor_value_info("features", element, [batch, 4])] if features else []
    stored = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = h.make_graph(nodes, "classifier", inputs, outputs, stored)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


NORM = ("weight", "bias", "running_mean", "running_var")

# Each computes what the network does, and the map may differ by so much of its maximum.
SAME: dict[str, tuple[Callable[[nn.Sequential, torch.Tensor], Any], float]] = {
    "function": (lambda network, _: lambda images: network(images), 0),
    "bound method": (lambda network, _: network.forward, 0),
    "array": (lambda network, _: lambda images: network(images).detach().numpy(), 0),
    "array that cannot be written to": (lambda network, _: lambda images: read_only(network(images)), 0),
    "double": (lambda network, _: lambda images: network(images).detach().double().numpy(), 1e-6),
    "half": (lambda network, _: lambda images: network(images).detach().half().numpy(), 0.05),
    "dict": (lambda network, _: lambda images: {"features": images.mean(dim=(2, 3)), "logits": network(images)}, 0),
    "dict of arrays": (lambda network, _: lambda images: {"scores": network(images).detach().numpy()}, 0),
    "tuple": (lambda network, _: lambda images: (network(images), None), 0),
    "scripted": (lambda network, _: scripted(network), 1e-5),
    "traced": (scripted, 1e-5),
    "frozen": (lambda network, _: frozen(network), 1e-5),
    "session": (lambda network, _: session(network), 1e-4),
    "session of one image": (lambda network, _: session(network, batch=1), 1e-4),
    "session of three images": (lambda network, _: session(network, batch=3), 1e-4),
    "session of doubles": (lambda network, _: session(network, kind=np.float64), 1e-4),
    "session of halves": (lambda network, _: session(network, kind=np.float16), 2e-3),
    "session of two outputs": (lambda network, _: session(network, features=True), 1e-4),
    # One step of the weights is a 127th of their largest, one of the features that of theirs: of all that are in a
    # batch, so that images are run alone.
    "quantised": (lambda network, _: quantised(network), 0.15),
}


def read_only(scores: torch.Tensor) -> Any:
    array = scores.detach().numpy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", SAME)
def test_the_same_function_has_the_same_map(
    kind: str, method: str, network: nn.Sequential, picture: torch.Tensor
) -> None:
    make, tolerance = SAME[kind]
    expected = explained(network, picture, method)
    found = explained(make(network, picture), picture, method)
    assert expected.map.max() > 0
    # RISE takes a difference of means of 32 scores: rounding of the scores counts, whatever the map's size.
    scale = max(float(expected.map.max()), abs(expected.score)) if tolerance < 0.01 else float(expected.map.max())
    np.testing.assert_allclose(found.map, expected.map, rtol=0, atol=tolerance * scale)
    assert (found.target, found.layer, found.method) == (expected.target, "the input", method)
    assert found.score == pytest.approx(expected.score, abs=max(1e-5, tolerance * abs(expected.score)))


def test_occlusion_of_a_callable_by_hand() -> None:
    # The score is the sum of 1 to 4; without a pixel it is that much less.
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    found = attend(
        lambda images: np.stack([images.sum(dim=(1, 2, 3)).numpy(), np.zeros(len(images), np.float32)], axis=1),
        image,
        method="occlusion",
        method_options={"window": 1},
    )
    assert found.map.tolist() == [[1, 2], [3, 4]]
    assert (found.target, found.score) == (0, 10)


def test_registered_methods_for_any_callable_are_named(
    network: nn.Sequential, picture: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    register_method("bright")(lambda inputs: inputs.sum(dim=1))
    register_method("deep")(lambda activations: activations.sum(dim=1))
    with pytest.raises(ModelError, match=r"methods for any callable are 'rise', 'occlusion' and 'bright'$"):
        attend(lambda images: network(images), picture, method="deep")
    found = attend(lambda images: network(images), picture, method="bright")
    assert found.map.shape == picture.shape[2:]


def test_layers_of_a_callable_are_asked_for_in_vain(network: nn.Sequential, picture: torch.Tensor) -> None:
    needs = "needs the layers of a torch.nn.Module; methods for any callable are 'rise' and 'occlusion'"
    with pytest.raises(ModelError, match=rf"^model is a function, and gradcam\+\+ {needs}$"):
        attend(lambda images: network(images), picture)
    with pytest.raises(ModelError, match=f"^model is an InferenceSession, and eigencam {needs}$"):
        attend(session(network), picture, method=["rise", "eigencam"])
    with pytest.raises(ModelError, match=f"^model is a RecursiveScriptModule, and scorecam {needs}$"):
        attend(frozen(network), picture, method="scorecam")
    instead = "TorchScript runs its layers without .* made from, or take 'occlusion' or 'rise'"
    with pytest.raises(ModelError, match=f"model is a RecursiveScriptModule: {instead}"):
        attend(scripted(network), picture, method="gradcam", layer="stem")


@pytest.mark.parametrize("method", [*METHODS, "gradcam"])
@pytest.mark.parametrize(
    ("model", "named"), [(nn.Linear, "the class Linear"), (dict, "the class dict"), (None, "None"), (3, "an int")]
)
def test_what_cannot_be_called_is_no_model(model: Any, named: str, method: str, picture: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=rf"model is {named}; accepted: a torch\.nn\.Module \(an instance"):
        attend(model, picture, method=method)


def test_a_file_is_no_model_and_how_to_load_it_is_said(picture: torch.Tensor) -> None:
    said = (
        r"model is a str; accepted: .*, a callable or a session of ONNX Runtime\. A file .* torch\.jit\.load\('m\.pt'\)"
    )
    with pytest.raises(ModelError, match=said):
        attend("m.pt", picture, method="occlusion")


def test_a_function_that_makes_the_model_is_told_to_be_called(network: nn.Sequential, picture: torch.Tensor) -> None:
    def make_network() -> nn.Sequential:
        return network

    with pytest.raises(ModelError, match=r"'rise' and 'occlusion'\. If it makes the model, call it: make_network\(\)$"):
        attend(make_network, picture)  # type: ignore[arg-type]


def test_a_state_dict_is_no_model_and_how_to_load_it_is_said(network: nn.Sequential, picture: torch.Tensor) -> None:
    with pytest.raises(ModelError, match=r"OrderedDict; .* a class\)\. A state dict .*load_state_dict\(weights\)$"):
        attend(network.state_dict(), picture)


@pytest.mark.parametrize(
    "img",
    [torch.zeros(3, 4, 4), np.zeros((4, 4, 3), np.uint8), Image.new("RGB", (4, 4)), "dog.png", Path("dog.JPG")],
    ids=["tensor", "array", "PIL image", "str", "Path"],
)
def test_an_image_in_the_place_of_the_model_is_told_where_it_belongs(img: Any, network: nn.Sequential) -> None:
    with pytest.raises(ModelError, match=r"\. It looks like an image, which comes after the model: \(model, img\)$"):
        attend(img, network)


def test_an_exported_program_that_takes_no_single_image_says_so(picture: torch.Tensor) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(picture.numel(), 2)).eval()
    image = picture.reshape(picture.shape[-3:])
    program = torch.export.export(network, (torch.stack([image] * 4),)).module()
    refused = r"takes no input of shape \(1, 3, 8, 8\): (Guard failed|Expected input at).*dynamic_shapes"
    with pytest.raises(ModelError, match=refused):
        attend(program, image, method="occlusion")


def test_an_exported_program_is_explained_by_its_module(network: nn.Sequential, picture: torch.Tensor) -> None:
    program = torch.export.export(network, (picture[None] if picture.ndim == 3 else picture,))
    with pytest.raises(ModelError, match=r"pass the module that was exported, or, to .* what its method module\(\)"):
        attend(program, picture, method="occlusion")
    found = explained(program.module(), picture, "occlusion", target=1).map
    np.testing.assert_allclose(found, explained(network, picture, "occlusion", target=1).map, atol=1e-6)


@pytest.mark.parametrize("layer", ["stem", -1, ["stem"], ["stem", "norm"], [], [None]])
@pytest.mark.parametrize("method", METHODS)
def test_no_layer_can_be_named(method: str, layer: Any, network: nn.Sequential, picture: torch.Tensor) -> None:
    for model in (network, lambda images: network(images)):
        with pytest.raises(MethodError, match=f"{method} explains the model as a whole and takes no layer, and layer"):
            explained(model, picture, method, layer=layer)


def test_a_setting_may_name_the_automatic_layer(network: nn.Sequential, picture: torch.Tensor) -> None:
    assert explained(lambda images: network(images), picture, "rise", layer="auto").layer == "the input"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda scores: "a cat", r"the model returned a str; accepted: class scores \(B, K\), here \(1, K\)"),
        (lambda scores: None, "the model returned None; accepted"),
        (lambda scores: scores.tolist(), r"the model returned a list of 1 with 0 \(list\); accepted"),
        (lambda scores: scores.argmax(dim=1), r"the model returned a tensor \(1,\) of torch\.int64; accepted"),
        (
            lambda scores: (10 * scores).long().numpy(),
            r"the model returned a tensor \(1, 5\) of torch\.int64; accepted: .* here \(1, K\), in floating point",
        ),
        (
            lambda scores: {"scores": scores > 0, "features": None},
            r"returned a dict with 'scores' \(1, 5\) of torch\.bool, 'features' \(NoneType\); accepted",
        ),
        (lambda scores: scores[:0], r"the model returned a tensor \(0, 5\); accepted"),
        (lambda scores: torch.cat([scores, scores]), r"the model returned a tensor \(2, 5\); accepted"),
        (lambda scores: {"a": scores, "b": scores}, "several tensors could be the class scores: 'a'"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_nonsense_is_named(
    answer: Callable[[torch.Tensor], Any], said: str, method: str, network: nn.Sequential, picture: torch.Tensor
) -> None:
    with pytest.raises(OutputError, match=said):
        explained(lambda images: answer(network(images)), picture, method)


def test_an_error_of_the_callable_is_its_own(picture: torch.Tensor) -> None:
    def broken(images: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("of mine")

    with pytest.raises(ZeroDivisionError, match="of mine"):
        attend(broken, picture, method="rise")


def test_session_of_two_inputs_goes_into_a_function(network: nn.Sequential, picture: torch.Tensor) -> None:
    gated = session(network, gate=True)
    with pytest.raises(ModelError, match=r"the session takes 2 inputs \(image, gate\); accepted: one, or a function"):
        explained(gated, picture, "occlusion")

    def doubled(images: torch.Tensor) -> Any:
        return gated.run(None, {"image": images.numpy(), "gate": np.array([2], np.float32)})[0]

    # Twice the score, twice the drop.
    expected = explained(network, picture, "occlusion")
    found = explained(doubled, picture, "occlusion")
    np.testing.assert_allclose(found.map, 2 * expected.map, rtol=0, atol=1e-4 * abs(expected.score))


@pytest.mark.parametrize(
    ("given", "shape", "said"),
    [
        ({"kind": np.uint8}, (3, 8, 8), r"'image', a tensor\(uint8\) of shape \('N', 3, 8, 8\)"),
        ({}, (8, 8, 3), r"the images are torch\.float32 \(1, 8, 8, 3\); accepted: .* images\.permute\(0, 3, 1, 2\)"),
        ({}, (3, 16, 16), r"of shape \('N', 3, 8, 8\), and the images are torch\.float32 \(1, 3, 16, 16\).* it takes$"),
    ],
    ids=["bytes", "channels elsewhere", "size"],
)
def test_what_a_session_does_not_take_is_named(
    given: dict[str, Any], shape: tuple[int, ...], said: str, network: nn.Sequential
) -> None:
    with pytest.raises(ModelError, match=said):
        explained(session(network, **given), torch.rand(shape), "occlusion")


def test_session_takes_nothing_beside_the_image(network: nn.Sequential, picture: torch.Tensor) -> None:
    for given in ({"model_args": (1,)}, {"model_kwargs": {"gate": 1}}):
        with pytest.raises(ModelError, match="a session takes the image alone, and model_args= or model_kwargs= is"):
            explained(session(network), picture, "occlusion", **given)


def test_output_of_a_session_can_be_named(network: nn.Sequential, picture: torch.Tensor) -> None:
    found = explained(session(network, features=True), picture, "occlusion", output="features", target=1)
    features = network[:-1](picture).detach()
    assert found.score == pytest.approx(float(features[0, 1]), rel=1e-4)


@pytest.mark.parametrize("batch", ["N", 1, 2, 3])
def test_batch_of_a_session(batch: int | str, network: nn.Sequential, picture: torch.Tensor) -> None:
    images = torch.cat([picture, picture.flip(-1), picture / 2])
    found = attend_batch(
        session(network, batch=batch), images, method="occlusion", target=2, method_options=OPTIONS["occlusion"]
    )
    for item, image in zip(found, images, strict=True):
        expected = explained(network, image, "occlusion", target=2)
        np.testing.assert_allclose(item.map, expected.map, rtol=0, atol=1e-4 * abs(expected.score))


def test_other_arguments_go_to_a_callable(network: nn.Sequential, picture: torch.Tensor) -> None:
    def scaled(images: torch.Tensor, factor: torch.Tensor, *, sign: int) -> torch.Tensor:
        assert len(factor) == len(images), "the factor is one for each image"
        return network(images) * factor[:, None] * sign

    expected = explained(network, picture, "occlusion", target=2)
    found = explained(
        scaled, picture, "occlusion", target=2, model_args=(torch.tensor([4.0]),), model_kwargs={"sign": 1}
    )
    np.testing.assert_allclose(found.map, 4 * expected.map, rtol=1e-5, atol=1e-8)
    assert found.score == pytest.approx(4 * expected.score)


def test_names_of_classes_and_targets(network: nn.Sequential, picture: torch.Tensor) -> None:
    found = explained(session(network), picture, "rise", target="c", class_names=list("abcde"))
    expected = explained(network, picture, "rise", target=2)
    assert (found.target, found.explained.name) == (2, "c")
    np.testing.assert_allclose(found.map, expected.map, rtol=0, atol=1e-4 * abs(expected.score))


@pytest.mark.parametrize("method", METHODS)
def test_flags_buffers_and_random_numbers_of_torchscript_come_back(
    method: str, network: nn.Sequential, picture: torch.Tensor
) -> None:
    expected = explained(network, picture, method)
    model = scripted(network.train())
    model.norm.eval()
    flags = [module.training for module in model.modules()]
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    torch.manual_seed(5)
    before = torch.get_rng_state()

    found = explained(model, picture, method)

    # It was explained in eval mode: dropout would have made a map of its own.
    np.testing.assert_allclose(found.map, expected.map, rtol=0, atol=1e-5 * abs(expected.score))
    assert [module.training for module in model.modules()] == flags
    assert {True, False} == set(flags)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())


class Counting(nn.Module):
    """Writes to one buffer, and replaces another, whenever it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("written", torch.zeros(1))
        self.register_buffer("replaced", torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.written += 1
        self.replaced = self.replaced + 1
        return images.mean(dim=(2, 3)) + self.written + self.replaced


def test_buffers_that_torchscript_writes_to_come_back(picture: torch.Tensor) -> None:
    expected = explained(Counting(), picture, "occlusion", target=1)
    model = scripted(Counting())
    # Each batch starts from the same buffers, or a drop of the score would be a matter of when.
    np.testing.assert_allclose(explained(model, picture, "occlusion", target=1).map, expected.map, rtol=1e-5)
    assert (float(model.written), float(model.replaced)) == (0, 0)


@pytest.mark.parametrize("method", METHODS)
def test_random_numbers_of_a_callable_are_put_back(method: str, network: nn.Sequential, picture: torch.Tensor) -> None:
    def noisy(images: torch.Tensor) -> Any:
        noise = torch.rand(1), np.random.rand(), random.random()
        return network(images).detach().numpy() + float(sum(noise))

    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    first = explained(noisy, picture, method)
    second = explained(noisy, picture, method)
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()) == expected
    assert np.array_equal(first.map, second.map)


def test_quantised_module_comes_back_as_it_was(network: nn.Sequential, picture: torch.Tensor) -> None:
    model = quantised(network).train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    explained(model, picture, "rise")
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_verb_on_a_callable_from_end_to_end() -> None:
    # It looks at the left half only: there, brightness is class 1.
    def left(images: torch.Tensor) -> Any:
        bright = images[..., :4].mean(dim=(1, 2, 3)).numpy()
        return np.stack([np.zeros_like(bright), bright], axis=1)

    image = torch.ones(1, 8, 8)
    attention = assert_attention_in_region(
        left, image, (0, 0, 4, 8), method="occlusion", target=1, method_options={"window": 1}
    )
    assert attention.energy_in((0, 0, 4, 8)) == 1
    with pytest.raises(AttentionError, match=r"attention in box: skill -?\d\.\d\d < 0\.25 \(occlusion, the input\)"):
        assert_attention_in_region(
            left, image, (4, 0, 8, 8), method="occlusion", target=1, method_options={"window": 1}
        )
