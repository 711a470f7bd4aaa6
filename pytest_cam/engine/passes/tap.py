"""Where the graph is cut: the hooks that make layers' outputs the places which gradients are taken at."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pytest_cam.engine.layers import Layer, never_ran
from pytest_cam.engine.model.hooks import HookManager, function_mode, takes_hooks, works_in_place
from pytest_cam.engine.passes.sparse_rows import SparseRows
from pytest_cam.engine.reading.carriers import with_tensor
from pytest_cam.engine.reading.layouts import Layout
from pytest_cam.engine.reading.reader import Reader
from pytest_cam.errors import LayerError, ModelError, is_ours, kind_of

__tracebackhide__ = is_ours


@dataclass(eq=False)
class Seen:
    """One layer's output in one forward pass.

    Attributes:
        name: The layer's dotted name.
        layout: How the output reads.
        call: Which of the layer's executions it is of, from 1.
        calls: How often the layer ran.
        tensor: The output itself, in its own shape, where gradients are taken.
        version: Its version then: what writes to it raises that.
    """

    name: str
    layout: Layout
    call: int
    calls: int
    tensor: torch.Tensor
    version: int

    def require_untouched(self) -> None:
        """Raise if the model has overwritten the output.

        Raises:
            LayerError: It has.
        """
        if self.tensor._version != self.version:
            raise LayerError(
                f"the output of layer {self.name!r} is overwritten in place by the model later on; take the layer "
                "that does so, or the one before it"
            )


class Prelude:
    """The part of a forward pass before the first tap, in a mode of its own.

    Args:
        mode: The mode, which is left at the first tap, or else when the `with` block ends.
        with_graph: Whether gradients are on after it.
        with_wide_layers: Whether the model has linear layers of which it pays to leave zeros out.

    Attributes:
        with_graph: The same.
    """

    def __init__(
        self, mode: AbstractContextManager[object], *, with_graph: bool = True, with_wide_layers: bool = False
    ) -> None:
        self.with_graph, self._with_wide_layers = with_graph, with_wide_layers
        self._mode = mode
        self._tail: Any = nullcontext()
        self._outer = function_mode()

    def end(self, layout: Layout) -> None:
        """Leave the mode, at an output of that layout."""
        self._mode.__exit__(None, None, None)
        self._mode = nullcontext()
        # A mode that the model has entered is to be left before ours, and so may not lie below it.
        if (self._with_wide_layers or layout.kind == "tokens") and function_mode() is self._outer:
            self._tail = SparseRows()
            self._tail.__enter__()

    def __enter__(self) -> Prelude:
        self._mode.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._tail.__exit__(None, None, None)
        self._mode.__exit__(None, None, None)


class Taps:
    """Cuts the graph at the first of some layers, and keeps the outputs of all of them.

    Gradients are on from that output onwards, unless the model stands none, and off before it.

    Args:
        layers: The layers to explain.
        reader: How outputs read.
        hooks: Places the hooks.
        prelude: What ends with the first of them.
        call: Which execution of a layer that runs several times; None for the last.
        where_readable: Whether an output without a grid is passed over; else it is an error.
    """

    def __init__(
        self,
        layers: list[Layer],
        reader: Reader,
        hooks: HookManager,
        prelude: Prelude,
        call: int | None = None,
        *,
        where_readable: bool = False,
    ) -> None:
        self._layers, self._reader, self._prelude, self._call = layers, reader, prelude, call
        self._where_readable = where_readable
        self._calls: dict[str, int] = {}
        self._seen: dict[str, Seen] = {}
        self._without_gradient: set[str] = set()
        for layer in layers:
            if not takes_hooks(layer.module):
                raise LayerError(
                    f"layer {layer.name!r} is TorchScript, whose outputs cannot be explained; accepted: a layer that "
                    "torch.jit did not make, such as the one before it, or layer=None for the last one that has a grid"
                )
            hooks.add(layer.module, self._at(layer))

    def seen(self) -> list[Seen]:
        """Return the outputs of the layers, in the order in which the layers were asked for.

        Raises:
            LayerError: A layer never ran, or its output was overwritten later.
            ModelError: The model runs a layer under `inference_mode`.
        """
        return [
            self._found(layer.name) for layer in self._layers if layer.name in self._seen or not self._where_readable
        ]

    def _found(self, name: str) -> Seen:
        if name in self._without_gradient:
            raise under_inference_mode(f"layer {name!r}")
        ran = self._calls.get(name, 0)
        if not ran:
            raise never_ran(f"layer {name!r}")
        if name not in self._seen:
            times = "once" if ran == 1 else f"{ran} times"
            raise LayerError(
                f"layer {name!r} runs {times} in a forward pass, and layer_call is {self._call}; accepted: 1 to {ran}, "
                "or None for the last"
            )
        found = self._seen[name]
        found.calls = ran
        found.require_untouched()
        return found

    def _at(self, layer: Layer) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            call = self._calls[layer.name] = self._calls.get(layer.name, 0) + 1
            if self._call not in (None, call):
                return None
            tensor = self._reader.find(output)
            layout = None if tensor is None or not self._where_readable else self._reader.might_read(tensor, module)
            if self._where_readable and layout is None:
                return None
            if tensor is None:
                raise LayerError(
                    f"layer {layer.name!r} ({type(module).__name__}) returns {kind_of(output)} without a "
                    "tensor; accepted: a tensor, or a tuple, list or dict with one. Take a layer inside it or after it"
                )
            layout = layout or self._reader.read(tensor, module, layer.name)
            self._prelude.end(layout)
            if torch.is_inference_mode_enabled():
                self._without_gradient.add(layer.name)
                return None
            self._without_gradient.discard(layer.name)
            kept, passed_on = cut(tensor, module, args, with_graph=self._prelude.with_graph)
            self._seen[layer.name] = Seen(layer.name, layout, call, call, kept, kept._version)
            return with_tensor(output, tensor, passed_on)

        return hook


def under_inference_mode(what: str) -> ModelError:
    """Return the error of a layer, or a block, of which no gradient can be had."""
    return ModelError(
        f"the model runs {what} under torch.inference_mode, where no gradient exists; use torch.no_grad there instead"
    )


def _leaf(tensor: torch.Tensor) -> torch.Tensor:
    """Return a leaf of a graph over the same memory."""
    leaf = tensor.new_empty(0).set_(tensor) if tensor.is_inference() else tensor.detach()  # type: ignore[call-overload]  # one that torch does not list
    return leaf.requires_grad_()


def cut(
    tensor: torch.Tensor, module: nn.Module, args: tuple[Any, ...], *, anew: bool = False, with_graph: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a layer's output as gradients are taken at it, and as it goes on through the model.

    Args:
        tensor: The output. Without a graph it becomes a leaf of one; with one, from a layer before, it stays in it.
        module: The layer.
        args: What the layer was called with, which the output may share memory with.
        anew: Make a leaf of it also where it has a graph.
        with_graph: Whether gradients are on from here.
    """
    torch.set_grad_enabled(with_graph)
    shares = tensor._is_view() or any(
        isinstance(arg, torch.Tensor) and arg.data_ptr() == tensor.data_ptr() for arg in args
    )
    if shares and works_in_place(module, args, tensor) and not tensor.is_inference():
        if tensor.requires_grad and not anew:
            return tensor, tensor.clone()
        kept = tensor.detach().clone().requires_grad_()
        return kept, tensor.copy_(kept)
    kept = tensor.clone() if shares else tensor
    if anew or not kept.requires_grad:
        kept = _leaf(kept)
    # A copy goes on through the model, so that what follows may overwrite it without changing what is kept.
    return kept, kept.clone()
