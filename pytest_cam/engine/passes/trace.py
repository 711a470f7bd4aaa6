"""One forward pass, and the gradients of its scores at some layers, from backward passes that stop there."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from pytest_cam.engine.batches.coupling import require_uncoupled
from pytest_cam.engine.batches.memory import is_shortage
from pytest_cam.engine.layers import LayersLike, listed, resolve_all
from pytest_cam.engine.methods.resources import ClassGradients
from pytest_cam.engine.model.hooks import HookManager
from pytest_cam.engine.passes.backward import curvatures_at, gradients_at, has_graph, leads_to, weighted_gradients_at
from pytest_cam.engine.passes.forward import Run, laid_out
from pytest_cam.engine.passes.last_tap import LastTap
from pytest_cam.engine.passes.listing import explainable_layers, index_of, layer_at
from pytest_cam.engine.passes.own_cells import is_its_own, is_read_from
from pytest_cam.engine.passes.tap import Prelude, Seen, Taps
from pytest_cam.engine.reading.answer import exact
from pytest_cam.engine.reading.layouts import Layout
from pytest_cam.engine.reading.reader import Reader
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scores.finite import is_something, largest, of_batch, require_scores
from pytest_cam.engine.scores.independent import independent, not_reached, of_no_layer
from pytest_cam.engine.scores.targets import Scores, Target
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import IndependentScoreError, MethodError, ModelError, NonFiniteError, is_ours

__tracebackhide__ = is_ours


# What most methods ask for.
GRADIENTS = frozenset({"activations", "gradients"})


@dataclass(eq=False)
class Trace:
    """Activations and gradients of one layer for a batch of B inputs and one target each.

    Attributes:
        layer: The layer's dotted name.
        call: Which of its executions in the pass is explained, from 1.
        calls: How often the layer ran in the pass.
        layout: How its output reads as (B, C, h, w).
        activations: A, (B, C, h, w), float32 or float64, on the model's device.
        explained: What each score is.
        logits: The class scores (B, K), or None where the output has none.
        gradients: G = d score / d A, the same shape as A; row b is of the score of image b. None where nobody asks.
        curvature: The Hessian of the score in A times A, the same shape. None where nobody asks.
        class_gradients: From weights (B, K) to the gradient of sum(weights * logits). None where nobody asks.
        output: The layer's output in its own shape.
    """

    layer: str
    call: int
    calls: int
    layout: Layout
    activations: torch.Tensor
    explained: list[Explained]
    logits: torch.Tensor | None
    gradients: torch.Tensor | None
    curvature: torch.Tensor | None
    class_gradients: ClassGradients | None
    output: torch.Tensor

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        tensors = {id(each.untyped_storage()): each for each in (self.activations, self.output)}
        return sum(each.nbytes for each in (*tensors.values(), self.gradients, self.curvature) if each is not None)


def trace(
    subject: Subject,
    inputs: torch.Tensor,
    layer: LayersLike = None,
    targets: list[list[Target]] | None = None,
    needs: frozenset[str] = GRADIENTS,
) -> list[list[Trace]]:
    """Run the model once and differentiate the explained scores down to some layers, and no further.

    Args:
        subject: The model.
        inputs: The batch (B, C, H, W), as `Subject.placed` gives it.
        layer: A name, a module, an index into the explainable layers, a list of those, or None for the last executed
            module whose output shows the image on a grid (the outermost one where several return that same output and
            nothing else; adaptive pooling, which only changes the grid, does not count). Where the score does not
            depend on the patches in that output, as after the last attention of a vision transformer that reads its
            class token, it is the last normalisation where it does, and else, as after a second head, the last such
            module where it does; finding it takes a second pass or a third, one more for what needs no gradients, and
            an index takes a second one.
        targets: For each target one for each image: a class index, a class name, a callable on the image's own part of
            the output, or None for the predicted class. None for the predicted class of each image.
        needs: What will be asked of the traces, of `methods.RESOURCES`.

    Returns:
        Activations, gradients and what was explained, for each target one for each layer.

    Raises:
        ModelError: The model runs a layer under `inference_mode`, or normalises over the images of the batch.
        LayerError: A layer is unknown, never ran, has no spatial extent or one that reads in several ways, or
            another batch size than the input.
        OutputError, TargetError: The explained score cannot be found in the output.
        IndependentScoreError: The score does not depend on a layer.
        NonFiniteError: Activations, scores or gradients hold NaN or infinity.
    """
    require_uncoupled(subject.module_state, inputs.shape[0])
    wanted: list[list[Target]] = [[None] * len(inputs)] if targets is None else targets
    reader = subject.reader(inputs)
    if not subject.is_read_by_users(chain.from_iterable(wanted)):
        inputs = laid_out(inputs, subject.module_state)
    run = Run(
        subject.module,
        subject.module_state,
        call=partial(_twice_differentiable, subject, inputs) if "curvature" in needs else partial(subject.call, inputs),
        read=lambda output: [subject.scores(output, each) for each in wanted],
        differentiates=_differentiates(needs),
    )
    layers = resolve_all(subject.module, _named(layer, run, reader))

    def place(hooks: HookManager, prelude: Prelude) -> Taps | LastTap:
        if layers is None:
            return LastTap(subject.module, reader, hooks, prelude)
        return Taps(layers, reader, hooks, prelude, subject.said("layer_call"))

    taps, scores = run(place)
    if not _differentiates(needs) and _is_unsure(taps, scores):
        # Only gradients show whether the score reads more of these tokens than the class token, and only its graph
        # whether a sigmoid gave it, and whether the last layer is on a side branch. Where there are none, methods that
        # need none take the last layer, its last tokens, and a logit.
        with suppress(IndependentScoreError, NonFiniteError, ModelError):
            subject.state.rewind()
            return trace(subject, inputs, layer, targets, needs | GRADIENTS)
    if not isinstance(taps, LastTap) or len(taps.others) == 1:
        return _traces(taps, scores, needs)
    return _traces_of_last(taps, scores, needs, run, reader)


def _traces_of_last(
    taps: LastTap, scores: list[Scores], needs: frozenset[str], run: Run, reader: Reader
) -> list[list[Trace]]:
    """Return what was found at the last layer, or at the last before it where that one says nothing of the score."""
    (last,) = taps.seen()
    if not is_its_own(taps, scores):
        with suppress(IndependentScoreError):
            return _traces(taps, scores, needs)
    tried = taps.instead(scores)
    for others in tried:
        run.state.rewind()
        found, scores = run(partial(Taps, others, reader, where_readable=True))
        with suppress(IndependentScoreError):
            return _traces(found, scores, needs, last_that_counts=True)
    names = [layer.name for each in tried for layer in each if layer.name != last.name]
    raise of_no_layer(last.name, names, scores[0].explained[0].name)


def _is_unsure(taps: Taps | LastTap, scores: list[Scores]) -> bool:
    if any(each.might_be_probabilities for each in scores):
        return True
    if not isinstance(taps, LastTap):
        return False
    (last,) = taps.seen()
    # Of scores without a graph there is nothing to be learnt.
    is_passed_by = all(map(has_graph, scores)) and not all(leads_to(last.tensor, each) for each in scores)
    return is_passed_by or is_its_own(taps, scores) or bool(taps.norms and last.layout.prefix)


def _twice_differentiable(subject: Subject, inputs: torch.Tensor) -> Any:
    # The fused kernels of attention have no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        return subject.call(inputs)


def _named(layer: LayersLike, run: Run, reader: Reader) -> Any:
    """Return what was given for the layers with indices replaced by names, for which the model runs once more."""
    given = listed(layer)
    indices = [index_of(item) for item in given]
    if all(index is None for index in indices):
        return layer
    known = explainable_layers(run, reader)
    named = [item if index is None else layer_at(index, known) for item, index in zip(given, indices, strict=True)]
    return named if isinstance(layer, (list, tuple)) else named[0]


def _traces(
    taps: Taps | LastTap, scores: list[Scores], needs: frozenset[str], *, last_that_counts: bool = False
) -> list[list[Trace]]:
    seen, differentiates = taps.seen(), _differentiates(needs)
    for each in scores:
        _require_finite(seen, each)
    found = []
    for index, each in enumerate(scores):
        gradients: list[torch.Tensor | None] = [None] * len(seen)
        curvatures: list[torch.Tensor] | list[None] = [None] * len(seen)
        # Asked before the backward pass, after which the graph no longer tells.
        own = [last_that_counts and is_read_from(one, each) for one in seen]
        # The last of several backward passes lets go of the graph, unless there is more to come.
        keep_graph = index < len(scores) - 1 or "class_gradients" in needs
        if "curvature" in needs:
            gradients, curvatures = _twice(seen, each, keep_graph)
        elif differentiates:
            gradients = gradients_at([one.tensor for one in seen], each, keep_graph=keep_graph)
        chosen = list(range(len(seen)))
        if last_that_counts:
            counting = [number for number in chosen if _counts(seen[number], gradients[number])]
            others = [number for number in counting if not own[number]]
            chosen = (others or counting or chosen)[-1:]
        found.append([_trace(seen[number], gradients[number], curvatures[number], each, needs) for number in chosen])
    return found


def _twice(seen: list[Seen], scores: Scores, keep_graph: bool) -> tuple[list[torch.Tensor | None], list[torch.Tensor]]:
    """Return the gradients at layers and the curvatures there."""
    places = [one.tensor for one in seen]
    try:
        gradients = gradients_at(places, scores, keep_graph=keep_graph, differentiable=True)
        return gradients, curvatures_at(places, gradients, scores)
    except RuntimeError as error:
        if is_shortage(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise MethodError(
            f"the method needs second derivatives of the score at {' and '.join(one.name for one in seen)}, and what "
            f"comes after has none: {reason}. Accepted: a method of first derivatives, such as gradcam++, or a layer "
            "after that operation"
        ) from error


def _differentiates(needs: frozenset[str]) -> bool:
    return not needs.isdisjoint({"gradients", "curvature", "class_gradients"})


def _counts(seen: Seen, gradient: torch.Tensor | None) -> bool:
    return gradient is not None and bool(seen.layout.on_grid(gradient).any())


def _trace(
    seen: Seen, gradient: torch.Tensor | None, curvature: torch.Tensor | None, scores: Scores, needs: frozenset[str]
) -> Trace:
    output = seen.tensor.detach()
    activations = exact(seen.layout.on_grid(output))
    names = [item.name for item in scores.explained]
    if not is_something(activations):
        largest("activations", activations, [f"at layer {seen.name}"] * len(names))
    if gradient is not None:
        gradient = exact(seen.layout.on_grid(gradient.detach()))
        if not is_something(gradient):
            peaks = largest("gradients", gradient, [f"of {name} at layer {seen.name}" for name in names])
            if 0 in peaks:
                index = peaks.index(0)
                raise independent(seen.name, seen.layout, names[index], of_batch(index, len(names)))
    elif _differentiates(needs):
        raise not_reached(seen.name, scores.explained[0].name)
    if curvature is not None:
        curvature = exact(seen.layout.on_grid(curvature.detach()))
    return Trace(
        seen.name,
        seen.call,
        seen.calls,
        seen.layout,
        activations,
        scores.explained,
        None if scores.logits is None else scores.logits.detach(),
        gradient,
        curvature,
        partial(_class_gradients, seen, scores) if "class_gradients" in needs else None,
        output,
    )


def _class_gradients(seen: Seen, scores: Scores, weights: torch.Tensor) -> torch.Tensor:
    gradient = None if scores.logits is None else weighted_gradients_at(seen.tensor, scores.logits, weights)
    if gradient is None:
        raise not_reached(seen.name, scores.explained[0].name)
    gradient = exact(seen.layout.on_grid(gradient))
    names = [item.name for item in scores.explained]
    peaks = largest("gradients", gradient, [f"of {name} at layer {seen.name}" for name in names])
    # An image without weights is not asked about, and has a gradient of zero.
    for index, asked in enumerate(weights.any(dim=1).tolist()):
        if asked and peaks[index] == 0:
            raise independent(seen.name, seen.layout, names[index], of_batch(index, len(names)))
    return gradient


def _require_finite(seen: list[Seen], scores: Scores) -> None:
    if not all(math.isfinite(item.score) for item in scores.explained):
        for one in seen:  # where it came from says more than where it ended
            largest("activations", exact(one.tensor.detach()), [f"at layer {one.name}"] * len(scores.explained))
    require_scores(scores.explained)
