"""Where the graph is cut: the hook that makes a layer's output the leaf of the graph."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn

from pytest_cam.engine.hooks import HookManager
from pytest_cam.engine.layers import Layer
from pytest_cam.engine.layouts import first_tensor, is_spatial, with_first_tensor
from pytest_cam.errors import LayerError, ModelError, is_ours

__tracebackhide__ = is_ours

# These change the grid, not what is seen; where one is the last to have a grid, the features before it are explained.
_RESAMPLING = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


class Tap:
    """Cuts the graph at a layer: gradients are on from its output onwards, and off before it."""

    def __init__(self, model: nn.Module, layer: Layer | None, batch: int, hooks: HookManager) -> None:
        self.name = "" if layer is None else layer.name
        self.calls: Counter[str] = Counter()
        self._batch = batch
        self._leaf: torch.Tensor | None = None
        self._leaf_version = 0
        self._passed_on: torch.Tensor | None = None
        self._passed_on_version = 0
        self._resampled: torch.Tensor | None = None
        self._without_gradient = False
        if layer is not None:
            hooks.add(layer.module, self._at(layer))
            return
        for name, module in model.named_modules():
            if name:
                hooks.add(module, self._after(name))

    @property
    def leaf(self) -> torch.Tensor:
        """The activations as the leaf of the graph."""
        if self._without_gradient:
            raise ModelError(
                f"the model runs layer {self.name!r} under torch.inference_mode, where no gradient exists; use "
                "torch.no_grad there instead"
            )
        if self._leaf is None and self.name:
            raise LayerError(
                f"layer {self.name!r} never ran in the forward pass: it is an unused branch, or the model uses its "
                "parameters without calling it"
            )
        if self._leaf is None:
            raise LayerError(
                "no layer of this model has an output (B, C, h, w) with spatial extent, so there is nothing to map"
            )
        if self._leaf._version != self._leaf_version:
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
            if tensor.shape[0] != self._batch:
                raise LayerError(
                    f"layer {layer.name!r} has an output {tuple(tensor.shape)} for {self._batch} images, so which part "
                    f"belongs to which image is not known; accepted: ({self._batch}, C, h, w)"
                )
            return self._cut(layer.name, tensor, args, output)

        return hook

    def _after(self, name: str) -> Any:
        """Cut anew at each spatial output: when the pass ends, the last cut is the one that holds."""

        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            tensor = first_tensor(output)
            if tensor is None or not is_spatial(tensor) or tensor.shape[0] != self._batch:
                return None
            if tensor is self._resampled or isinstance(module, _RESAMPLING):
                self._resampled = tensor
                return None
            # The same tensor is the same output only while nothing has written to it, as `x += y` does.
            if tensor is self._passed_on and tensor._version == self._passed_on_version:
                self.name = name
                self.calls[name] += 1
                return None
            return self._cut(name, tensor, args, output)

        return hook

    def _cut(self, name: str, tensor: torch.Tensor, args: tuple[Any, ...], output: Any) -> Any:
        self.name = name
        self.calls[name] += 1
        self._without_gradient = torch.is_inference_mode_enabled()
        if self._without_gradient:
            return None
        torch.set_grad_enabled(True)
        shares = tensor._is_view() or any(
            isinstance(arg, torch.Tensor) and arg.data_ptr() == tensor.data_ptr() for arg in args
        )
        leaf = (tensor.clone() if shares or tensor.is_inference() else tensor).detach().requires_grad_()
        # A copy goes on through the model, so that what follows may overwrite it without changing the leaf.
        passed_on = leaf.clone()
        self._leaf, self._leaf_version = leaf, leaf._version
        self._passed_on, self._passed_on_version = passed_on, passed_on._version
        return with_first_tensor(output, passed_on)
