"""One forward pass, and the gradients of its scores at one layer, from a backward pass that stops there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pytest_cam.engine.backward import gradients_at
from pytest_cam.engine.class_names import as_names, names_of
from pytest_cam.engine.forward import Run
from pytest_cam.engine.further import Further, on_device
from pytest_cam.engine.hooks import HookManager
from pytest_cam.engine.layers import LayersLike, resolve_all
from pytest_cam.engine.layouts import Layout, Reader
from pytest_cam.engine.listing import explainable_layers, index_of, layer_at
from pytest_cam.engine.state import ModelState
from pytest_cam.engine.tap import LastTap, Prelude, Seen, Taps
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

# How many normalisations before the end are tried where the score reads nothing of the patches after the last one.
_NORMS_TRIED = 8


@dataclass(frozen=True, eq=False)
class Trace:
    """Activations and gradients of one layer for a batch of B inputs.

    Attributes:
        layer: The layer's dotted name.
        call: Which of its executions in the pass is explained, from 1.
        calls: How often the layer ran in the pass.
        layout: How its output reads as (B, C, h, w).
        activations: A, (B, C, h, w), float32 or float64, on the model's device.
        gradients: G = d score / d A, the same shape; row b is of the score of image b.
        explained: What each score is.
    """

    layer: str
    call: int
    calls: int
    layout: Layout
    activations: torch.Tensor
    gradients: torch.Tensor
    explained: list[Explained]


def trace(
    model: nn.Module,
    inputs: torch.Tensor,
    layer: LayersLike = None,
    targets: Targets = None,
    class_names: Any = None,
    *,
    state: ModelState,
    **further: Unpack[Further],
) -> list[Trace]:
    """Run the model once and differentiate the explained scores down to some layers, and no further.

    Args:
        model: The model.
        inputs: The batch (B, C, H, W), on any device.
        layer: A name, a module, an index into the explainable layers, a list of those, or None for the last executed
            module whose output has spatial extent (the outermost one where several return that same output; adaptive
            pooling, which only changes the grid, does not count). Where the score does not depend on the patches in
            that output, as after the last attention of a vision transformer that reads its class token, it is the
            last normalisation where it does; finding it takes a second pass, and so does an index.
        targets: One for all, or one each: a class index, a class name, a callable on the image's own part of
            the output, or None for the predicted class.
        class_names: The names of the K classes, see `as_names`; None takes those that the model carries.
        state: The model's state, entered by the caller, which puts it back.
        **further: See `Further`.

    Returns:
        Activations, gradients and what was explained, for each layer.

    Raises:
        ModelError: The model runs a layer under `inference_mode`.
        LayerError: A layer is unknown, never ran, has no spatial extent or one that reads in several ways, or
            another batch size than the input.
        OutputError, TargetError: The explained score cannot be found in the output.
        IndependentScoreError: The score does not depend on a layer.
        NonFiniteError: Activations, scores or gradients hold NaN or infinity.
    """
    wanted = one_each(targets, inputs.shape[0])
    # A model whose weights are in half precision takes its input so.
    inputs = inputs.detach().to(state.device, state.dtype)
    reader = Reader(model, inputs, further.get("reshape"))
    names = as_names(class_names)
    known = names_of(model) if names is None else None

    def call() -> Any:
        # Copies, each time that the model runs: it may overwrite what it is given.
        args = [on_device(value, state.device) for value in further.get("model_args") or ()]
        kwargs = {name: on_device(value, state.device) for name, value in (further.get("model_kwargs") or {}).items()}
        return model(inputs.clone(), *args, **kwargs)

    run = Run(
        model,
        state,
        call,
        read=partial(scores_of, targets=wanted, class_names=names, model_names=known, selector=further.get("output")),
    )
    layers = resolve_all(model, _named(layer, run, reader))

    def place(hooks: HookManager, prelude: Prelude) -> Taps | LastTap:
        if layers is None:
            return LastTap(model, reader, hooks, prelude)
        return Taps(layers, reader, hooks, prelude, further.get("layer_call"))

    taps, scores = run(place)
    if scores.are_probabilities:
        warn(_PROBABILITIES, ProbabilityWarning)
    try:
        return _traces(taps, scores)
    except IndependentScoreError:
        norms = list(taps.norms.values())[-_NORMS_TRIED:] if isinstance(taps, LastTap) else []
        if not norms:
            raise
    state.rewind()
    taps, scores = run(lambda hooks, prelude: Taps(norms, reader, hooks, prelude))
    return _traces(taps, scores, last_that_counts=True)


def _named(layer: LayersLike, run: Run, reader: Reader) -> Any:
    """Return what was given for the layers with indices replaced by names, for which the model runs once more."""
    given = list(layer) if isinstance(layer, (list, tuple)) else [layer]
    indices = [index_of(item) for item in given]
    if all(index is None for index in indices):
        return layer
    known = explainable_layers(run, reader)
    named = [item if index is None else layer_at(index, known) for item, index in zip(given, indices, strict=True)]
    return named if isinstance(layer, (list, tuple)) else named[0]


def _traces(taps: Taps | LastTap, scores: Scores, *, last_that_counts: bool = False) -> list[Trace]:
    seen = taps.seen()
    gradients = _gradients(seen, scores)
    pairs = list(zip(seen, gradients, strict=True))
    if last_that_counts:
        pairs = [pair for pair in pairs if pair[1] is not None and bool(pair[0].layout.on_grid(pair[1]).any())][-1:]
        pairs = pairs or [(seen[-1], gradients[-1])]
    return [_trace(one, gradient, scores) for one, gradient in pairs]


def _trace(seen: Seen, gradient: torch.Tensor | None, scores: Scores) -> Trace:
    activations = exact(seen.layout.on_grid(seen.tensor.detach()))
    names = [item.name for item in scores.explained]
    if not _is_something(activations):
        _largest("activations", activations, [f"at layer {seen.name}"] * len(names))
    if gradient is None:
        raise IndependentScoreError(
            f"the score of {names[0]} does not depend on layer {seen.name}: no path leads from its output "
            "to the score (a side branch, or a detach() or a no_grad block on the way)"
        )
    gradient = exact(seen.layout.on_grid(gradient))
    if not _is_something(gradient):
        largest = _largest("gradients", gradient, [f"of {name} at layer {seen.name}" for name in names])
        if 0 in largest:
            raise _independent(seen, names, largest.index(0))
    return Trace(seen.name, seen.call, seen.calls, seen.layout, activations, gradient, scores.explained)


def _independent(seen: Seen, names: list[str], index: int) -> IndependentScoreError:
    where = f"the score of {names[index]} does not depend on layer {seen.name}{_which(index, len(names))}"
    if seen.layout.prefix:
        return IndependentScoreError(
            f"{where}: its gradient is exactly zero at all {seen.layout.grid[0]} x {seen.layout.grid[1]} patches. "
            "After the last attention only the class token is read; take the normalisation before that attention, "
            "which layer=None finds"
        )
    return IndependentScoreError(
        f"{where}: its gradient there is exactly zero (a saturated or dead unit, or a part of the output that the head "
        "does not read). Explain a logit, not a probability, or take another layer"
    )


def _gradients(seen: list[Seen], scores: Scores) -> list[torch.Tensor | None]:
    for index, item in enumerate(scores.explained):
        if not math.isfinite(item.score):
            for one in seen:  # where it came from says more than where it ended
                _largest("activations", exact(one.tensor.detach()), [f"at layer {one.name}"] * len(scores.explained))
            value = torch.tensor([item.score])
            where = f"of target {item.name}{_which(index, len(scores.explained))}"
            raise _not_finite("scores", value, where)
    return gradients_at([one.tensor for one in seen], scores)


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
