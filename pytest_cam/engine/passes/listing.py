"""The layers of a model that can be explained, as one pass of an input shows them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

from torch import nn

from pytest_cam.engine.model.hooks import HookManager, takes_hooks
from pytest_cam.engine.passes.forward import Run
from pytest_cam.engine.reading.carriers import passes_on
from pytest_cam.engine.reading.reader import Reader
from pytest_cam.errors import LayerError, is_ours

__tracebackhide__ = is_ours


@dataclass(frozen=True)
class Explainable:
    """A layer whose output has a grid.

    Attributes:
        name: The layer's dotted name; the outermost one where several return the same output and nothing else.
        kind: The name of its class.
        layout: How its output reads.
        channels: C.
    """

    name: str
    kind: str
    layout: str
    channels: int


def explainable_layers(run: Run, reader: Reader) -> list[Explainable]:
    """Return the layers whose outputs have a grid, in the order in which they end.

    Args:
        run: How the model is run.
        reader: How outputs read.
    """
    found: list[Explainable] = []
    last: list[Any] = [None, 0]

    def after(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            tensor = reader.find(output)
            layout = None if tensor is None else reader.might_read(tensor, module)
            if tensor is None or layout is None:
                return
            if tensor is last[0] and tensor._version == last[1]:
                if not passes_on(name, output, found[-1].name, tensor):
                    return
                found.pop()
            last[:] = tensor, tensor._version
            channels = layout.on_grid(tensor).shape[1]
            found.append(Explainable(name, type(module).__name__, str(layout), channels))

        return hook

    def watch(hooks: HookManager) -> None:
        for name, module in run.model.named_modules():
            if name and takes_hooks(module):
                hooks.add(module, after(name))

    run.only(watch)
    return list({layer.name: layer for layer in found}.values())


def index_of(layer: object) -> int | None:
    """Return the index that was given for a layer: an int or, from a command line, a text such as "-1"; else None.

    A text without a sign is a name: the layers of an `nn.Sequential` have such names.
    """
    if isinstance(layer, str) and layer.startswith("-") and layer[1:].isdecimal():
        return int(layer)
    return int(layer) if isinstance(layer, Integral) and not isinstance(layer, bool) else None


def layer_at(index: int, layers: list[Explainable]) -> str:
    """Return the name of the layer at an index into the explainable ones, from the end where it is negative.

    Raises:
        LayerError: There are not that many.
    """
    if -len(layers) <= index < len(layers):
        return layers[index].name
    end = -len(layers) if index < 0 else len(layers) - 1
    hint = f"; the nearest is {end}, {layers[end].name}" if layers else ""
    raise LayerError(
        f"layer {index} is out of range: the model has {len(layers)} explainable layers, {-len(layers)} to "
        f"{len(layers) - 1}{hint}"
    )
