"""The backward pass from the scores down to a layer, and no further."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias
from weakref import ref

import torch
from torch.autograd.function import once_differentiable

from pytest_cam.engine.batches.memory import is_shortage
from pytest_cam.engine.passes.graph import comes_from, nodes_behind
from pytest_cam.engine.scores.targets import Scores
from pytest_cam.errors import ModelError, is_ours

__tracebackhide__ = is_ours

# What runs in place of each `backward` that is marked as differentiable once.
_ONCE = once_differentiable(lambda ctx, gradient: gradient).__code__

# A tensor and what each of its values counts in the sum that is differentiated; None counts each as 1.
Term: TypeAlias = tuple[torch.Tensor, torch.Tensor | None]


def gradients_at(
    places: list[torch.Tensor], scores: Scores, *, keep_graph: bool = False, differentiable: bool = False
) -> list[torch.Tensor | None]:
    """Return d score / d place, row b that of image b, or None where no path leads from a score to the place.

    All scores are differentiated as one sum: each depends on its own image only.

    Args:
        places: Layers' outputs, each (B, ...), in the graph.
        scores: The scores of the B images.
        keep_graph: Whether the graph will be used again.
        differentiable: Whether the gradients themselves will be differentiated.

    Raises:
        ModelError: An operation on the way has no gradient, where these will not be differentiated.
        RuntimeError: The same, where they will, or one whose gradient cannot be differentiated.
    """
    terms: list[Term] = [(score, None) for score in scores.called if score.requires_grad]
    if scores.classes and scores.logits is not None and scores.logits.requires_grad:
        terms.append(_class_scores(scores.logits, scores.classes))
    if not terms:
        return [None] * len(places)
    tensors, weights = zip(*terms, strict=True)
    if differentiable:
        with _requiring_graphs(tensors):
            return _gradients(tensors, places, weights, differentiable=True)
    try:
        return _gradients(tensors, places, weights, keep_graph=keep_graph)
    except RuntimeError as error:
        if is_shortage(error):
            raise
        raise without_gradient(error) from error


def without_gradient(error: RuntimeError) -> ModelError:
    """Return the error of a model that runs only where no gradients are asked for.

    Args:
        error: What torch says where they are.
    """
    reason = re.split(r"(?<=\w)\.(?: |$)", " ".join(str(error).split()))[0][:300]
    return ModelError(
        f"the model runs without gradients, and with them it does not: {reason}. What comes after the explained layer "
        "must be differentiable: NumPy, out=, and writing in place to what is still needed (inplace=True) are not. "
        "Accepted: a layer after that operation, or a method that needs no gradient, such as scorecam or ablationcam"
    )


def weighted_gradients_at(place: torch.Tensor, logits: torch.Tensor, weights: torch.Tensor) -> torch.Tensor | None:
    """Return the gradient of sum(weights * logits) at a layer's output; the graph is kept.

    Args:
        place: The layer's output (B, ...).
        logits: The class scores (B, K), with their graph.
        weights: (B, K).
    """
    if not logits.requires_grad:
        return None
    return _gradients([logits], [place], [weights.to(logits)])[0]


def curvatures_at(
    places: list[torch.Tensor], gradients: list[torch.Tensor | None], scores: Scores
) -> list[torch.Tensor]:
    """Return, for each layer, the Hessian of the score in the layer's output times that output; the graph is kept.

    Args:
        places: Layers' outputs, each (B, ...).
        gradients: Those of the scores there, differentiable; one that is None or has no graph is constant.
        scores: The scores, with their graph.

    Raises:
        RuntimeError: An operation that they come through cannot be differentiated twice.
    """
    found = []
    for place, gradient in zip(places, gradients, strict=True):
        product = None
        if gradient is not None and gradient.requires_grad:
            _require_twice_differentiable(gradient, scores)
            (product,) = _gradients([gradient], [place], [place.detach()])
        found.append(torch.zeros_like(place) if product is None else product)
    return found


def _require_twice_differentiable(gradient: torch.Tensor, scores: Scores) -> None:
    # What is marked as differentiable once leaves a node that raises when it is run, and nothing leads on from there:
    # on the way to a layer it is not met. It does not say what it was; the graph of the scores does.
    if any(node.name() == "torch::autograd::Error" for node in nodes_behind(gradient)):
        behind = (node for tensor in _explained(scores) for node in nodes_behind(tensor))
        names = dict.fromkeys(node.name().removesuffix("Backward") for node in behind if _is_marked(node))
        raise RuntimeError(
            f"{' and '.join(names) or 'an operation'} is marked with @once_differentiable, so it cannot be "
            "differentiated twice"
        )


def _is_marked(node: torch.autograd.graph.Node) -> bool:
    made_by = getattr(type(node), "_forward_cls", None)  # the user's `torch.autograd.Function`
    return getattr(getattr(made_by, "backward", None), "__code__", None) is _ONCE


@contextmanager
def _requiring_graphs(tensors: Sequence[torch.Tensor]) -> Iterator[None]:
    """Require of each `torch.autograd.Function` that its backward can itself be differentiated, within a `with` block.

    Args:
        tensors: Where the backward pass of the block starts, with gradients that have a graph.

    Raises:
        RuntimeError: One left the graph, so that what it returned would count as constant.
    """
    cut: dict[str, None] = {}

    def look(node: torch.autograd.graph.Node, found: Any, given: Any) -> None:
        pairs = zip(node.next_functions, found, strict=True)
        needed = [gradient for (function, _), gradient in pairs if function is not None and gradient is not None]
        # Zeros are none the less right without a graph: what cuts a gradient off returns them.
        has_graph = any(gradient is not None and gradient.requires_grad for gradient in given)
        if has_graph and any(not gradient.requires_grad and gradient.any() for gradient in needed):
            cut[node.name().removesuffix("Backward")] = None

    nodes = dict.fromkeys(node for tensor in tensors for node in nodes_behind(tensor))
    hooks = [node.register_hook(partial(look, node)) for node in nodes if hasattr(type(node), "_forward_cls")]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    if cut:
        raise RuntimeError(
            f"the backward of {' and '.join(cut)} leaves the graph, by NumPy, .detach() or no_grad(), so it cannot be "
            "differentiated"
        )


def _gradients(
    tensors: Sequence[torch.Tensor],
    places: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor | None],
    *,
    keep_graph: bool = True,
    differentiable: bool = False,
) -> list[torch.Tensor | None]:
    """Return the gradient of the sum of all tensors times their weights at each place.

    This is `torch.autograd.grad` less its checks of shapes: given weights, it imports sympy, most of a second in each
    process, and asks it in each call.
    """
    terms = zip(tensors, weights, strict=True)
    ones = [torch.ones_like(tensor) if weight is None else weight for tensor, weight in terms]
    if differentiable:
        # Else an operation that cannot be differentiated twice is taken for one whose gradient is constant.
        ones = [one.detach().requires_grad_() for one in ones]
    found: Sequence[torch.Tensor | None] = torch.autograd.Variable._execution_engine.run_backward(
        tuple(tensors),
        tuple(ones),
        keep_graph,
        differentiable,
        tuple(places),
        allow_unreachable=True,
        accumulate_grad=False,
    )
    return list(found)


def leads_to(place: torch.Tensor, scores: Scores) -> bool:
    """Return whether a path leads from a leaf of the graph to any of the scores."""
    return any(comes_from(tensor, [ref(place)]) for tensor in _explained(scores))


def has_graph(scores: Scores) -> bool:
    """Return whether every score can be differentiated."""
    return all(tensor.requires_grad for tensor in _explained(scores))


def _explained(scores: Scores) -> list[torch.Tensor]:
    """Return the tensors that the scores are in: class scores in an output are none where nobody asks for a class."""
    asked = scores.logits if len(scores.called) < len(scores.explained) else None
    return scores.called if asked is None else [*scores.called, asked]


def _class_scores(logits: torch.Tensor, classes: list[tuple[int, int, int]]) -> Term:
    head = _linear_head(logits)
    if head is not None and len(classes) == logits.shape[0]:
        features, weight = head
        # The gradient of a class score at the input of the head is a row of its weight. Left to autograd it is that
        # row times 1 and all others times 0, for which a head of 1000 classes is read whole.
        columns = [column for _, column, _ in classes]
        fixed = weight.detach()
        # One row by itself is a view, and an index of several rows a copy.
        rows = fixed.select(0, columns[0]).unsqueeze(0) if len(columns) == 1 else fixed[columns]
        if logits.shape[1] == 1:
            rows = rows * rows.new_tensor([sign for *_, sign in classes])[:, None]
        return features, rows
    weights = torch.zeros_like(logits)
    for index, column, sign in classes:
        weights[index, column] = sign
    return logits, weights


def _linear_head(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return the input (B, F) and the weight (K, F) of the linear layer that gave the logits, if one did."""
    node = logits.grad_fn
    # A hook on the logits changes the gradient that goes on from them.
    if node is None or node.name() != "AddmmBackward0" or logits._backward_hooks:
        return None
    (bias, _), _, (weight, _) = node.next_functions
    # A weight or a bias that is itself computed, perhaps from the layer's output, has a gradient of its own.
    if not (_is_constant(bias) and weight is not None and all(_is_constant(f) for f, _ in weight.next_functions)):
        return None
    try:
        # Each kind of node has its own.
        saved: Any = node
        features, columns, alpha = saved._saved_mat1, saved._saved_mat2, saved._saved_alpha
    except (AttributeError, RuntimeError):  # another version of torch, or overwritten since
        return None
    return None if features is None or not features.requires_grad or alpha != 1 else (features, columns.t())


def _is_constant(function: torch.autograd.graph.Node | None) -> bool:
    return function is None or function.name().endswith("AccumulateGrad")
