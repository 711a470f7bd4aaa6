"""One forward pass, and the gradients of its scores at one layer, from a backward pass that stops there."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pytest_cam.engine.backward import gradient_at, has_graph
from pytest_cam.engine.class_names import as_names, names_of
from pytest_cam.engine.further import Further, on_device
from pytest_cam.engine.hooks import HookManager
from pytest_cam.engine.layers import Layer, LayerLike, resolve
from pytest_cam.engine.state import ModelState
from pytest_cam.engine.tap import Tap
from pytest_cam.engine.targets import Explained, Scores, Targets, exact, one_each, scores_of
from pytest_cam.errors import IndependentScoreError, NonFiniteError, ProbabilityWarning, is_ours, warn

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours

_PROBABILITIES = (
    "the class scores that the model returned look like probabilities: each row lies in [0, 1] and sums to 1. Where "
    "the model is sure, their gradients fade; explain logits instead: leave the softmax out of the model, or "
    "name the logits with output= where it returns both"
)


@dataclass(frozen=True, eq=False)
class Trace:
    """Activations and gradients of one layer for a batch of B inputs.

    Attributes:
        layer: The layer's dotted name.
        calls: How often the layer ran in the pass; its last execution is the one that is explained.
        activations: A, (B, C, h, w), float32 or float64, on the model's device.
        gradients: G = d score / d A, the same shape; row b is of the score of image b.
        explained: What each score is.
    """

    layer: str
    calls: int
    activations: torch.Tensor
    gradients: torch.Tensor
    explained: list[Explained]


def trace(
    model: nn.Module,
    inputs: torch.Tensor,
    layer: LayerLike = None,
    targets: Targets = None,
    class_names: Any = None,
    *,
    state: ModelState,
    **further: Unpack[Further],
) -> Trace:
    """Run the model once and differentiate the explained scores down to one layer, and no further.

    Args:
        model: The model.
        inputs: The batch (B, C, H, W), on any device.
        layer: A name, a module, or None for the last executed module whose output has spatial extent (the
            outermost one where several return that same output; adaptive pooling, which only changes the grid,
            does not count).
        targets: One for all, or one each: a class index, a class name, a callable on the image's own part of
            the output, or None for the predicted class.
        class_names: The names of the K classes, see `as_names`; None takes those that the model carries.
        state: The model's state, entered by the caller, which puts it back.
        **further: See `Further`.

    Returns:
        The activations, the gradients and what was explained.

    Raises:
        ModelError: The model runs the layer under `inference_mode`.
        LayerError: The layer is unknown, never ran, has no spatial extent, or another batch size than the input.
        OutputError, TargetError: The explained score cannot be found in the output.
        IndependentScoreError: The score does not depend on the layer.
        NonFiniteError: Activations, scores or gradients hold NaN or infinity.
    """
    wanted = one_each(targets, inputs.shape[0])
    found = resolve(model, layer)
    inputs = inputs.detach().to(state.device)
    # An input made under inference_mode cannot enter a graph; its clone is an ordinary tensor.
    inputs = inputs.clone() if inputs.is_inference() else inputs
    names = as_names(class_names)
    known = names_of(model) if names is None else None
    read = partial(scores_of, targets=wanted, class_names=names, model_names=known, selector=further.get("output"))
    tap, scores = _scored(model, inputs, found, read, state, further)
    if scores.are_probabilities:
        warn(_PROBABILITIES, ProbabilityWarning)
    activations = exact(tap.leaf.detach())
    gradients = _gradients(tap, activations, scores)
    return Trace(tap.name, tap.calls[tap.name], activations, gradients, scores.explained)


def _scored(
    model: nn.Module,
    inputs: torch.Tensor,
    layer: Layer | None,
    read: Callable[[Any], Scores],
    state: ModelState,
    further: Further,
) -> tuple[Tap, Scores]:
    """Run the model so that its scores have a gradient at the layer, and parameters have none."""
    try:
        with torch.no_grad():
            tap, scores = _forward(model, inputs, layer, read, state, further)
        if has_graph(scores):
            return tap, scores
        # Else a no_grad block inside the model switched gradients off again when it ended.
    except RuntimeError as error:
        # A view made before the layer, without gradients, may not be written to in place after it.
        if "no_grad mode" not in str(error):
            raise
    state.rewind()
    with torch.enable_grad(), _frozen(model):
        return _forward(model, inputs, layer, read, state, further)


def _forward(
    model: nn.Module,
    inputs: torch.Tensor,
    layer: Layer | None,
    read: Callable[[Any], Scores],
    state: ModelState,
    further: Further,
) -> tuple[Tap, Scores]:
    with HookManager() as hooks, nullcontext() if state.is_known else _uncompiled():
        tap = Tap(model, layer, inputs.shape[0], hooks)
        output = model(inputs, *_args(further, state.device), **_kwargs(further, state.device))
    _ = tap.leaf  # a layer that never ran is named before anything else is asked of the output
    # The model may have left gradients switched off, although its output has one.
    with torch.enable_grad():
        scores = read(output)
    return tap, scores


def _args(further: Further, device: torch.device) -> list[Any]:
    return [on_device(value, device) for value in further.get("model_args") or ()]


def _kwargs(further: Further, device: torch.device) -> dict[str, Any]:
    return {name: on_device(value, device) for name, value in (further.get("model_kwargs") or {}).items()}


def _uncompiled() -> AbstractContextManager[object]:
    # What torch.compile made of a model does not call hooks that were placed later. Nothing is compiled before dynamo
    # is imported, which takes seconds.
    stance = getattr(torch.compiler, "set_stance", None) if "torch._dynamo" in sys.modules else None
    return nullcontext() if stance is None else stance("force_eager")


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _gradients(tap: Tap, activations: torch.Tensor, scores: Scores) -> torch.Tensor:
    names = [item.name for item in scores.explained]
    if not _is_something(activations):
        _largest("activations", activations, [f"at layer {tap.name}"] * len(names))
    for index, item in enumerate(scores.explained):
        if not math.isfinite(item.score):
            value = torch.tensor([item.score])
            raise _not_finite("scores", value, f"of target {item.name}{_which(index, len(names))}")
    gradient = gradient_at(tap.leaf, scores)
    if gradient is None:
        raise IndependentScoreError(
            f"the score of {names[0]} does not depend on layer {tap.name}: no path leads from its output "
            "to the score (a side branch, or a detach() or a no_grad block on the way)"
        )
    gradient = exact(gradient)
    if _is_something(gradient):
        return gradient
    largest = _largest("gradients", gradient, [f"of {name} at layer {tap.name}" for name in names])
    if 0 in largest:
        index = largest.index(0)
        raise IndependentScoreError(
            f"the score of {names[index]} does not depend on layer {tap.name}{_which(index, len(names))}: its "
            "gradient there is exactly zero (a saturated or dead unit, or a part of the output that the head does "
            "not read). Explain a logit, not a probability, or take another layer"
        )
    return gradient


def _is_something(tensor: torch.Tensor) -> bool:
    """Return whether each image's part is seen at a glance to be finite and not all zero; False may be wrong."""
    sums = tensor.sum(dim=tuple(range(1, tensor.ndim))).tolist()
    return all(total != 0 and math.isfinite(total) for total in sums)


def _largest(what: str, tensor: torch.Tensor, where: list[str]) -> list[float]:
    """Return the largest absolute value of each image's part, or raise if it is not finite."""
    rows = tensor.reshape(len(where), -1)
    largest: list[float] = rows.abs().amax(dim=1).tolist()
    for index, value in enumerate(largest):
        if not math.isfinite(value):
            raise _not_finite(what, rows[index], f"{where[index]}{_which(index, len(where))}")
    return largest


def _not_finite(what: str, values: torch.Tensor, where: str) -> NonFiniteError:
    kind = "NaN" if bool(values.isnan().any()) else "infinity"
    count = int((~values.isfinite()).sum())
    return NonFiniteError(f"{kind} in the {what} {where}: {count} of {values.numel()} values are not finite")


def _which(index: int, count: int) -> str:
    return f" for image {index} of the batch" if count > 1 else ""
