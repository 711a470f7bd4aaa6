"""One forward pass, and the gradients of its scores at one layer, from a backward pass that stops there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pytest_cam.engine.hooks import HookManager, ModelState
from pytest_cam.engine.layers import Layer, LayerLike, resolve
from pytest_cam.engine.layouts import first_tensor, is_spatial, with_first_tensor
from pytest_cam.engine.targets import Explained, Targets, one_each, scores_of
from pytest_cam.errors import IndependentScoreError, LayerError, ModelError, NonFiniteError


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
    class_names: Sequence[str] | None = None,
    *,
    state: ModelState,
) -> Trace:
    """Run the model once and differentiate the explained scores down to one layer, and no further.

    Args:
        model: The model.
        inputs: The batch (B, C, H, W), on any device.
        layer: A name, a module, or None for the last executed module whose output has spatial extent (the
            outermost one where several return that same output).
        targets: One for all, or one each: a class index, a class name, a callable on the image's own part of
            the output, or None for the predicted class.
        class_names: The names of the K classes.
        state: The model's state, entered by the caller, which puts it back.

    Returns:
        The activations, the gradients and what was explained.

    Raises:
        ModelError: The model runs the layer under `inference_mode`.
        LayerError: The layer is unknown, never ran, or has no spatial extent.
        OutputError, TargetError: The explained score cannot be found in the output.
        IndependentScoreError: The score does not depend on the layer.
        NonFiniteError: Activations, scores or gradients hold NaN or infinity.
    """
    wanted = one_each(targets, inputs.shape[0])
    found = resolve(model, layer)
    inputs = inputs.detach().to(state.device)
    # An input made under inference_mode cannot enter a graph; outside of that mode a clone is an ordinary tensor.
    with torch.inference_mode(False):
        inputs = inputs.clone() if inputs.is_inference() else inputs
        with torch.no_grad():
            tap, scores, explained = _forward(model, inputs, found, wanted, class_names)
        if not scores.requires_grad:
            # A no_grad block inside the model switched gradients off again when it ended.
            with torch.enable_grad(), _frozen(model):
                tap, scores, explained = _forward(model, inputs, found, wanted, class_names)
        gradients = _gradients(tap, scores, explained)
        return Trace(tap.name, tap.calls[tap.name], _exact(tap.leaf.detach()), gradients, explained)


class _Tap:
    """Cuts the graph at a layer: gradients are on from its output onwards, and off before it."""

    def __init__(self, model: nn.Module, layer: Layer | None, hooks: HookManager) -> None:
        self.name = "" if layer is None else layer.name
        self.calls: Counter[str] = Counter()
        self._output: torch.Tensor | None = None
        self._leaf: torch.Tensor | None = None
        self._version = 0
        if layer is not None:
            hooks.add(layer.module, self._at(layer))
            return
        for name, module in model.named_modules():
            if name:
                hooks.add(module, self._after(Layer(name, module)))

    @property
    def leaf(self) -> torch.Tensor:
        """The activations as the leaf of the graph."""
        if self._leaf is None and self.name:
            raise LayerError(
                f"layer {self.name!r} never ran in the forward pass: it is an unused branch, or the model uses its "
                "parameters without calling it"
            )
        if self._leaf is None:
            raise LayerError(
                "no layer of this model has an output (B, C, h, w) with spatial extent, so there is nothing to map"
            )
        if self._leaf._version != self._version:
            raise LayerError(
                f"the output of layer {self.name!r} is overwritten in place by the model later on; take the layer "
                "that does so, or the one before it"
            )
        return self._leaf

    def _at(self, layer: Layer) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            tensor = first_tensor(output)
            if tensor is None or not is_spatial(tensor):
                shape = type(output).__name__ if tensor is None else f"tensor {tuple(tensor.shape)}"
                raise LayerError(
                    f"layer {layer.name!r} ({type(module).__name__}) has no spatial extent: its output is a {shape}; "
                    "accepted: (B, C, h, w) with a grid larger than 1 x 1. Take a layer before the pooling, or "
                    "layer=None for the last one that has a grid"
                )
            return self._cut(layer.name, tensor, args, output)

        return hook

    def _after(self, layer: Layer) -> Any:
        """Cut anew at each spatial output: when the pass ends, the last cut is the one that holds."""

        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            tensor = first_tensor(output)
            if tensor is None or not is_spatial(tensor):
                return None
            if tensor is self._output:
                self.name = layer.name
                self.calls[layer.name] += 1
                return None
            return self._cut(layer.name, tensor, args, output)

        return hook

    def _cut(self, name: str, tensor: torch.Tensor, args: tuple[Any, ...], output: Any) -> Any:
        if torch.is_inference_mode_enabled():
            raise ModelError(
                f"the model runs layer {name!r} under torch.inference_mode, where no gradient exists; use "
                "torch.no_grad there instead"
            )
        torch.set_grad_enabled(True)
        shares = any(isinstance(arg, torch.Tensor) and arg.data_ptr() == tensor.data_ptr() for arg in args)
        leaf = (tensor.clone() if shares or tensor.is_inference() else tensor).detach().requires_grad_()
        self.name, self._leaf, self._version = name, leaf, leaf._version
        self.calls[name] += 1
        # A copy goes on through the model, so that what follows may overwrite it without changing the leaf.
        self._output = leaf.clone()
        return with_first_tensor(output, self._output)


def _forward(
    model: nn.Module,
    inputs: torch.Tensor,
    layer: Layer | None,
    targets: list[Any],
    class_names: Sequence[str] | None,
) -> tuple[_Tap, torch.Tensor, list[Explained]]:
    with HookManager() as hooks:
        tap = _Tap(model, layer, hooks)
        output = model(inputs)
    _ = tap.leaf  # a layer that never ran is named before anything else is asked of the output
    scores, explained = scores_of(output, targets, class_names)
    return tap, scores, explained


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


def _gradients(tap: _Tap, scores: torch.Tensor, explained: list[Explained]) -> torch.Tensor:
    _check_finite("activations", tap.leaf.detach(), f"at layer {tap.name}")
    _check_finite("scores", scores.detach(), f"of target {explained[0].name}")
    gradient = None
    if scores.requires_grad:
        (gradient,) = torch.autograd.grad(scores.sum(), [tap.leaf], allow_unused=True)
    if gradient is None:
        raise IndependentScoreError(
            f"the score of {explained[0].name} does not depend on layer {tap.name}: no path leads from its output "
            "to the score (a side branch, or a detach() on the way)"
        )
    gradient = _exact(gradient)
    _check_finite("gradients", gradient, f"of {explained[0].name} at layer {tap.name}")
    nothing = gradient.flatten(1).abs().amax(dim=1) == 0
    if bool(nothing.any()):
        index = int(nothing.nonzero()[0])
        raise IndependentScoreError(
            f"the score of {explained[index].name} does not depend on layer {tap.name}{_which(index, nothing)}: its "
            "gradient there is exactly zero (a saturated or dead unit, or a part of the output that the head does "
            "not read). Explain a logit, not a probability, or take another layer"
        )
    return gradient


def _exact(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _check_finite(what: str, tensor: torch.Tensor, where: str) -> None:
    if bool(torch.isfinite(tensor).all()):
        return
    broken = ~torch.isfinite(tensor).flatten(1).all(dim=1) if tensor.ndim > 1 else ~torch.isfinite(tensor)
    index = int(broken.nonzero()[0])
    row = tensor[index]
    kind = "NaN" if bool(row.isnan().any()) else "infinity"
    count = int((~torch.isfinite(row)).sum())
    raise NonFiniteError(
        f"{kind} in the {what} {where}{_which(index, broken)}: {count} of {row.numel()} values are not finite"
    )


def _which(index: int, batch: torch.Tensor) -> str:
    return f" for image {index} of the batch" if batch.numel() > 1 else ""
