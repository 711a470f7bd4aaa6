"""What a model must be to be explained."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from pytest_cam.engine.model.arguments import arguments_of
from pytest_cam.errors import ModelError, is_ours, kind_of

__tracebackhide__ = is_ours

_WITHOUT_LAYERS = "or take 'occlusion' or 'rise', which ask for no layers"


def require_python(model: nn.Module, modules: list[nn.Module]) -> None:
    """Check that a model runs in Python, in this process, on layers that hooks see.

    Args:
        model: The model.
        modules: The model and all modules in it.

    Raises:
        ModelError: It does not; the message says what to pass instead.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            f"model is {kind_of(model)}: TorchScript runs its layers without the hooks that read them; pass "
            f"the torch.nn.Module that it was made from, {_WITHOUT_LAYERS}"
        )
    if isinstance(model, torch.fx.GraphModule) and not any(map(_calls_a_module, model.graph.nodes)):
        raise ModelError(
            f"model is {kind_of(model)} whose graph calls no modules, as torch.export makes it: there are no "
            f"layers to explain. Pass the torch.nn.Module that it was made from, {_WITHOUT_LAYERS}"
        )
    for module in modules:
        kind = type(module)
        if kind.__name__ == "FullyShardedDataParallel" or any(base.__name__ == "FSDPModule" for base in kind.__mro__):
            raise ModelError(
                f"the model is sharded by FSDP ({kind.__name__}), so no process holds a whole layer; load its state "
                "dict into the plain torch.nn.Module, in one process, and pass that"
            )
        if _is_quantised(kind):
            raise ModelError(
                f"the model has quantised modules ({kind.__module__}.{kind.__name__}), through which no gradient "
                f"flows; pass the float model that it was made from, {_WITHOUT_LAYERS}"
            )


def _calls_a_module(node: torch.fx.Node) -> bool:
    return node.op == "call_module" and not str(node.target).startswith("_")  # torch.export's guards begin so


def _is_quantised(kind: type) -> bool:
    return kind.__module__.startswith(("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized"))


def require_differentiable(
    modules: list[nn.Module], lazy: tuple[type[LazyModuleMixin], ...], parameter: torch.Tensor | None
) -> None:
    """Check that a model has its parameters, and that autograd can use them.

    Args:
        modules: The model and all modules in it.
        lazy: Which of their kinds are lazy.
        parameter: The model's first parameter, or None.

    Raises:
        ModelError: It has not, or autograd cannot.
    """
    if lazy and any(isinstance(module, lazy) and module.has_uninitialized_params() for module in modules):
        raise ModelError(
            "the model has lazy modules whose parameters do not exist yet, and making them would change the model; "
            "run it once before"
        )
    if parameter is not None and parameter.is_inference():
        raise ModelError(
            "the model's parameters were made under torch.inference_mode, and autograd cannot use them; make or "
            "load the model outside of it"
        )


def require_values(model: nn.Module, tables: Iterable[Mapping[str, torch.Tensor | None]]) -> None:
    """Check that what a model reads holds values: where some of it does not, many kernels read what is in memory.

    Args:
        model: The model.
        tables: The parameters and the buffers of each of its modules.

    Raises:
        ModelError: Some do not, and nothing is seen that would load them when the model runs.
    """
    if not any(_is_empty(name, tensor) for table in filter(None, tables) for name, tensor in table.items()):
        return
    if not any("forward" in vars(module) or module._forward_pre_hooks for module in model.modules()):
        raise without_values(model)


def without_values(model: nn.Module) -> ModelError:
    """Return the error of a model with parameters or buffers that hold no values."""
    names = [name for name, tensor in _named_tensors(model) if _is_empty(name, tensor)]
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return ModelError(
        f"{names[0]!r}{others} of the model's parameters and buffers {'are' if others else 'is'} on the meta device, "
        "which holds no values: it was made there, or its weights are kept elsewhere between passes; load them into "
        "the model first"
    )


def _named_tensors(model: nn.Module) -> Iterable[tuple[str, torch.Tensor]]:
    return chain(model.named_parameters(), model.named_buffers())


def _is_empty(name: str, tensor: torch.Tensor | None) -> bool:
    # No pass in eval mode reads how many batches there were, which old checkpoints lack.
    return tensor is not None and tensor.is_meta and not name.endswith("num_batches_tracked")


def require_accepted(
    model: Any, inputs: torch.Tensor, args: Sequence[Any], kwargs: Mapping[str, Any], error: TypeError
) -> None:
    """Check, after a call that failed, that a model takes what it was given, and nothing more: see `arguments_of`.

    Args:
        model: A module or another callable.
        inputs: What it was given for the image.
        args: What else it was given.
        kwargs: The same, by name.
        error: What the call raised.

    Raises:
        ModelError: It does not, from that error.
    """
    try:
        signature = inspect.signature(model.forward if isinstance(model, torch.nn.Module) else model)
    except (TypeError, ValueError):  # of what is not written in Python
        return
    given, named = arguments_of(model, inputs, args, kwargs)
    try:
        signature.bind(*given, **named)
    except TypeError as unbound:
        place = "".join(f" as {name}" for name in named if name not in kwargs)
        others = [*["model_args" for _ in args[:1]], *["model_kwargs" for _ in list(kwargs)[:1]]]
        raise ModelError(
            f"the model is called with the image{place}{''.join(f' and {name}' for name in others)}, and its "
            f"parameters are {signature}: {unbound}. Accepted: what it takes beside the image, as model_args=(...) or "
            "model_kwargs={...}"
        ) from error


def require_device(actual: torch.device, wanted: str | torch.device | None) -> None:
    """Check that a model is where it is expected to be.

    Raises:
        ModelError: It is elsewhere, or there is no such device.
    """
    if wanted is None:
        return
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"device is {wanted!r}; accepted: 'cpu', 'cuda', 'cuda:0', 'mps', ... ({error})") from None
    if device.type != actual.type or (device.index is not None and device.index != actual.index):
        raise ModelError(
            f"the model is on {actual}, and device is {device}: move it there first, with model.to({str(device)!r}). "
            "In a test, take the `cam_device` fixture in the fixture that makes the model"
        )
