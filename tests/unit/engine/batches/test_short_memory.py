"""Models that run out of memory when methods run them on many inputs at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper as h
from torch import nn

from pytest_cam import attend
from pytest_cam.errors import CamError, MemoryShortError


class Hungry(nn.Module):
    """Asks the allocator for more than there is when it gets more than so many images at once."""

    def __init__(self, body: nn.Module, most: int) -> None:
        super().__init__()
        self.body, self.most = body, most
        self.runs: list[int] = []

    def forward(self, images: torch.Tensor) -> Any:
        self.runs.append(len(images))
        if len(images) > self.most:
            torch.empty(2**50)
        return self.body(images)


@pytest.mark.parametrize(
    ("method", "as_callable"),
    [("scorecam", False), ("rise", False), ("rise", True), ("occlusion", False), ("occlusion", True)],
)
def test_batches_shrink_where_the_model_runs_out_of_memory(
    classifier: nn.Sequential, picture: torch.Tensor, method: str, as_callable: bool
) -> None:
    model = Hungry(classifier, most=3).eval()
    options: dict[str, Any] = {"rise": {"masks": 10, "cells": 4}, "occlusion": {"window": 5}}.get(method, {})
    layer: dict[str, Any] = {"layer": "body.layer"} if method == "scorecam" else {}
    plain = {"layer": "layer"} if method == "scorecam" else {}
    expected = attend(classifier, picture, method=method, target=1, method_options=options, **plain)
    given: Any = (lambda images: model(images)) if as_callable else model
    found = attend(given, picture, method=method, target=1, method_options=options, **layer)
    # Masked scores differ by rounding only, and they are small differences of scores.
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-3, atol=1e-7)
    tried = [run for run in model.runs if run > 3]
    assert tried, "no batch was too large, so this shows nothing"
    assert tried == sorted(tried, reverse=True)
    assert max(model.runs[model.runs.index(tried[-1]) + 1 :]) > 1, "one at a time is more than is needed"


def test_ablation_runs_the_whole_model_where_there_is_no_memory_for_what_a_replay_keeps(
    classifier: nn.Sequential, picture: torch.Tensor
) -> None:
    class Forgetful(Hungry):
        def forward(self, images: torch.Tensor) -> Any:
            # The second pass is the one that is kept.
            self.most = 0 if len(self.runs) == 1 else 99
            return super().forward(images)

    model = Forgetful(classifier, most=99).eval()
    found = attend(model, picture, layer="body.layer", method="ablationcam", target=1)
    assert max(model.runs) > 1, "the model did not run, so this shows nothing"
    expected = attend(classifier, picture, layer="layer", method="ablationcam", target=1)
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-4, atol=1e-7)


def test_memory_that_is_too_short_for_one_is_named(classifier: nn.Sequential, picture: torch.Tensor) -> None:
    class Exhausted(Hungry):
        def forward(self, images: torch.Tensor) -> Any:
            # The pass of the image itself is the first.
            self.most = 1 if not self.runs else 0
            return super().forward(images)

    model = Exhausted(classifier, most=1).train()
    model.body.eval()
    said = r"memory ran out with one of the inputs of scorecam at a time, .*What the allocator said: .*can't allocate"
    with pytest.raises(MemoryShortError, match=said) as caught:
        attend(model, picture, layer="body.layer", method="scorecam")
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert isinstance(caught.value, MemoryError)
    assert model.runs[0] == 1
    assert model.runs[-1] == 1
    assert model.training
    assert not model.body.training, "the flags are the ones of before"
    assert not model.body.layer._forward_hooks


class _Filling(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, features: torch.Tensor) -> torch.Tensor:
        return features.clone()

    @staticmethod
    def backward(_: Any, *gradients: torch.Tensor) -> torch.Tensor:
        torch.empty(2**50)
        return gradients[0]


def test_memory_that_is_too_short_for_the_gradients_is_not_called_an_operation_without_one(
    picture: torch.Tensor,
) -> None:
    class Filled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 3)

        def forward(self, images: torch.Tensor) -> Any:
            return _Filling.apply(self.layer(images)).mean(dim=(2, 3))

    with pytest.raises(RuntimeError, match="can't allocate") as caught:
        attend(Filled().eval(), picture, layer="layer", target=1)
    assert not isinstance(caught.value, CamError)


def hungry_session(most: int, *, arena: bool = True) -> onnxruntime.InferenceSession:
    """Return a session of three class scores, the channels' means, that fills 2^50 numbers for each image too many."""
    nodes = [
        h.make_node("ReduceMean", ["image"], ["means"], axes=[2, 3], keepdims=0),
        h.make_node("Shape", ["image"], ["images"], end=1),
        h.make_node("Sub", ["images", "most"], ["over"]),
        h.make_node("Max", ["over", "none"], ["too_many"]),
        h.make_node("Mul", ["too_many", "each"], ["size"]),
        h.make_node("ConstantOfShape", ["size"], ["filled"]),
        h.make_node("ReduceSum", ["filled"], ["nothing"], keepdims=0),
        h.make_node("Add", ["means", "nothing"], ["logits"]),
    ]
    image = h.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["N", 3, 8, 8])
    logits = h.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", 3])
    numbers = {"most": most, "none": 0, "each": 2**50}
    stored = [onnx.numpy_helper.from_array(np.array([value]), name) for name, value in numbers.items()]
    graph = h.make_graph(nodes, "hungry", [image], [logits], stored)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("arena", [True, False])
def test_batches_shrink_where_a_session_runs_out_of_memory(picture: torch.Tensor, arena: bool) -> None:
    def means(images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))

    options = {"window": 3}
    expected = attend(means, picture, method="occlusion", target=1, method_options=options)
    found = attend(hungry_session(3, arena=arena), picture, method="occlusion", target=1, method_options=options)
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-3, atol=1e-7)


def test_session_that_is_short_of_memory_for_one_image_is_named(picture: torch.Tensor) -> None:
    enough, short = hungry_session(1), hungry_session(0)
    sessions = iter([enough])
    said = "memory ran out with one of the inputs of rise at a time, .*allocator said: .*Failed to allocate memory"
    with pytest.raises(MemoryShortError, match=said) as caught:
        attend(
            lambda images: next(sessions, short).run(None, {"image": images.numpy()})[0],
            picture,
            method="rise",
            method_options={"masks": 8, "cells": 4},
        )
    assert type(caught.value.__cause__).__module__.startswith("onnxruntime")
