"""A model's twin whose weights are drawn anew, layer by layer, from the output on."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from pytest_cam.engine.layers import FusedLayers, LayerLike
from pytest_cam.errors import ModelError, is_ours, kind_of

__tracebackhide__ = is_ours


class Twin:
    """A deep copy of a model, to be randomised; the model itself is only read.

    Args:
        model: The model.

    Attributes:
        model: The copy.
        names: The dotted names of the modules that have weights of their own, from the output on: in the order of
            `named_modules()`, backwards.

    Raises:
        ModelError: It is no `torch.nn.Module`, cannot be copied, or has no floating point weights.
    """

    def __init__(self, model: Any) -> None:
        if not isinstance(model, nn.Module):
            raise ModelError(f"model is {kind_of(model)}; accepted: a torch.nn.Module, whose weights can be drawn anew")
        self._copies: dict[int, Any] = {}
        try:
            self.model: nn.Module = copy.deepcopy(model, self._copies)
        except Exception as error:
            raise ModelError(
                f"the model cannot be copied ({type(error).__name__}: {error}), and only a copy's weights may be "
                "drawn anew. Tensors with a graph that are kept as attributes are a common cause: keep them detached"
            ) from error
        own = {name: module for name, module in self.model.named_modules() if _weights(module)}
        if not own:
            raise ModelError("the model has no floating point weights that could be drawn anew")
        self._own = own
        self.names = tuple(reversed(own))

    def layer(self, layer: LayerLike) -> LayerLike:
        """Return the copy's layer for the model's: a module of the model has one of its own in the copy."""
        if isinstance(layer, FusedLayers):
            return FusedLayers(*(self._copies.get(id(each), each) for each in layer.layers), by=layer.by)
        copied: LayerLike = self._copies.get(id(layer), layer) if isinstance(layer, nn.Module) else layer
        return copied

    def randomise(self, name: str, generator: torch.Generator) -> None:
        """Draw one module's own weights anew, as a network starts: no trace of the training is left in them.

        Matrices and kernels are normal with variance 2 / fan-in (He et al., arXiv 1502.01852), biases 0, the scales of
        normalisations 1 and their running statistics those of no data. Any other vector or scalar is normal with the
        root mean square that it has.

        Args:
            name: One of `names`.
            generator: Where the numbers come from, on the CPU; the global generators are left alone.
        """
        module = self._own[name]
        with torch.no_grad():
            for weight_name, weight in _weights(module).items():
                weight.copy_(_drawn(module, weight_name, weight, generator))
        reset = getattr(module, "reset_running_stats", None)
        if callable(reset):
            reset()


def _weights(module: nn.Module) -> dict[str, nn.Parameter]:
    own = module.named_parameters(recurse=False)
    return {name: weight for name, weight in own if weight.is_floating_point() and weight.numel()}


def _drawn(module: nn.Module, name: str, weight: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if "bias" in name:
        return torch.zeros_like(weight)
    if weight.ndim < 2 and "norm" in type(module).__name__.lower():
        return torch.ones_like(weight)
    if weight.ndim < 2:
        scale = float(weight.float().square().mean().sqrt())
    else:
        scale = (2 * weight.shape[0] / weight.numel()) ** 0.5
    drawn = torch.randn(weight.shape, generator=generator, device="cpu", dtype=torch.float32)
    return (drawn * scale).to(weight)


def stages(names: tuple[str, ...], most: int) -> Iterator[tuple[str, ...]]:
    """Cut the modules' names into at most so many parts of about one length, in their order."""
    count = min(most, len(names))
    for number in range(count):
        yield names[number * len(names) // count : (number + 1) * len(names) // count]
