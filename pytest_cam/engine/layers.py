"""A layer from a name, a module or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

from torch import nn

from pytest_cam.errors import LayerError, is_ours, kind_of, nearest
from pytest_cam.images.regions import Region

__tracebackhide__ = is_ours

# How the maps of several layers become one.
_FUSIONS = ("max", "mean")


@dataclass(frozen=True)
class FusedLayers:
    """Several layers that give one map together, to be passed as `layer=`.

    Each layer's map is divided by its maximum, since the scales of layers differ by orders of magnitude, and brought to
    the finest grid among them. Fusing by the maximum is that of LayerCAM (Jiang et al., TIP 2021, section III-C).

    Args:
        layers: Names, modules or indices, two or more.
        by: "max" or "mean".

    Raises:
        LayerError: There are fewer than two layers, or no such way to fuse them.
    """

    layers: tuple[str | int | nn.Module, ...]
    by: str = "max"

    def __init__(self, *layers: str | int | nn.Module, by: str = "max") -> None:
        if len(layers) < 2:
            raise LayerError(f"FusedLayers has {len(layers)} layers; accepted: two or more, FusedLayers('a', 'b')")
        if by not in _FUSIONS:
            raise LayerError(f"FusedLayers has no way to fuse by {by!r}. {nearest(by, _FUSIONS)}")
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "by", by)


LayerLike: TypeAlias = str | int | nn.Module | FusedLayers | None
LayersLike: TypeAlias = LayerLike | Sequence[str | int | nn.Module]

# What may stand for "find it", beside None.
AUTO = "auto"


@dataclass(frozen=True, eq=False)
class Layer:
    """A module of the model and its name.

    Attributes:
        name: As in `model.named_modules()`; the model itself is "(the model)".
        module: The module whose output is explained.
    """

    name: str
    module: nn.Module


def resolve(model: nn.Module, layer: LayerLike) -> Layer | None:
    """Find a layer of the model.

    Args:
        model: The model.
        layer: A dotted name as in `model.named_modules()`, a module of the model, or None or "auto".

    Returns:
        The layer, or None where none was given: then the trace chooses one, from what runs.

    Raises:
        LayerError: There is no such layer in the model.
    """
    if layer is None:
        return None
    if isinstance(layer, str):
        return None if layer == AUTO else _by_name(model, layer)
    if isinstance(layer, nn.Module):
        return Layer(name_of(model, layer), layer)
    raise LayerError(
        f"layer is {kind_of(layer)}; accepted: a dotted name such as 'layer4.1', a module of the model, an "
        "index into its explainable layers such as -1, or None or 'auto' for the last layer with spatial extent"
        f"{region_hint(layer)}"
    )


def region_hint(layer: Any) -> str:
    """Return what to add to the error of a layer that is a region: the two were most likely swapped."""
    box = layer.tolist() if hasattr(layer, "tolist") else layer
    is_box = isinstance(box, (list, tuple)) and len(box) == 4 and all(isinstance(side, Real) for side in box)
    if not is_box and not isinstance(layer, Region):
        return ""
    return ". It looks like a region, which comes before the layer: (model, img, box, layer)"


def resolve_all(model: nn.Module, layer: LayersLike) -> list[Layer] | None:
    """Find one layer or several, or return None where the trace chooses.

    Args:
        model: The model.
        layer: As for `resolve`, or a list of names and modules.

    Raises:
        LayerError: There is no such layer, or the list is empty or names a layer twice.
    """
    if not isinstance(layer, (list, tuple)):
        found = resolve(model, layer)  # type: ignore[arg-type]  # other kinds of sequence are refused there
        return None if found is None else [found]
    if any(isinstance(item, FusedLayers) for item in layer):
        raise LayerError(
            "a list of layers holds FusedLayers(...); accepted: FusedLayers alone, layer=FusedLayers(...), or a list "
            "of names and modules"
        )
    layers = [resolve(model, item) for item in layer]
    if not layers or None in layers:
        raise LayerError(
            "a list of layers holds names and modules of the model, at least one; this one holds "
            f"{'nothing' if not layers else repr(layer)}"
        )
    known = [item for item in layers if item is not None]
    for index, item in enumerate(known):
        if any(item.module is other.module for other in known[:index]):
            raise LayerError(f"the list of layers names {item.name!r} twice; each layer gives one attention")
    return known


def listed(layer: LayersLike) -> list[LayerLike]:
    """Return what was given for the layers as a list."""
    return list(layer) if isinstance(layer, (list, tuple)) else [layer]  # type: ignore[list-item]  # as in resolve_all


def name_of(model: nn.Module, module: nn.Module) -> str:
    """Return a module's dotted name in the model.

    Raises:
        LayerError: The module is not part of the model.
    """
    for name, candidate in model.named_modules():
        if candidate is module:
            return name or "(the model)"
    raise LayerError(
        f"layer is {kind_of(module)} that is not part of this {type(model).__name__}; was it taken from "
        "another instance, or from a copy?"
    )


def never_ran(what: str) -> LayerError:
    """Return the error of a layer that did not run."""
    return LayerError(
        f"{what} never ran in the forward pass: it is an unused branch, or the model uses its parameters without "
        "calling it"
    )


def _by_name(model: nn.Module, name: str) -> Layer:
    found: nn.Module | None = model
    for part in name.split("."):  # a third of what `get_submodule` takes
        found = None if found is None else found._modules.get(part)
    if found is not None:
        return Layer(name, found)
    if name:
        try:
            return Layer(name, model.get_submodule(name))  # as what a compiled model passes on
        except AttributeError:
            pass
    names = [known for known, _ in model.named_modules() if known]
    raise LayerError(f"{type(model).__name__} has no layer {name!r}. {nearest(name, names)}")
