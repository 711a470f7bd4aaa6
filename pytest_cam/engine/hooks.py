"""Every hook this package places, and its removal; what a call may change in a model, and putting it back."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils.hooks import RemovableHandle

from pytest_cam.errors import ModelError

ForwardHook = Callable[..., Any]


class HookManager:
    """Places forward hooks and takes every one of them away again."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def add(self, module: nn.Module, hook: ForwardHook) -> RemovableHandle:
        """Place `hook(module, args, output)` on a module.

        Args:
            module: The module whose output the hook sees.
            hook: What to call after each forward pass of the module; what it returns, unless None, replaces the
                output.

        Returns:
            The handle, for those who want the hook to leave earlier.
        """
        handle = module.register_forward_hook(hook)
        self._handles.append(handle)
        return handle

    def remove_all(self) -> None:
        """Take away every hook that was placed here."""
        while self._handles:
            self._handles.pop().remove()

    def __enter__(self) -> HookManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove_all()


# Seen as integers of the same width, NaN equals NaN and 0.0 is not -0.0.
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.int64}


def _bits(tensors: list[torch.Tensor]) -> torch.Tensor:
    joined = torch.cat([tensor if tensor.ndim == 1 else tensor.reshape(-1) for tensor in tensors])
    return joined.view(_BITS[joined.element_size()])


@dataclass(frozen=True)
class _Values:
    """What some tensors of one type on one device hold.

    They are kept end to end: one copy and one comparison for all, since one each is what a small network would feel.
    """

    tensors: list[torch.Tensor]
    shapes: list[torch.Size]
    held: torch.Tensor

    @classmethod
    def of(cls, tensors: list[torch.Tensor]) -> _Values:
        return cls(tensors, [tensor.shape for tensor in tensors], _bits(tensors))

    def put_back(self) -> None:
        if torch.equal(_bits(self.tensors), self.held):
            return
        start = 0
        held = self.held.view(self.tensors[0].dtype)
        for tensor, shape in zip(self.tensors, self.shapes, strict=True):
            before = held[start : start + shape.numel()].view(shape)
            start += shape.numel()
            if tensor.shape != shape:
                tensor.data = before.clone()
            elif not torch.equal(_bits([tensor]), _bits([before])):
                with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                    tensor.copy_(before)


class _Buffers:
    """The buffers of some modules: which tensors they are, and what those hold."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self._tables = [(module._buffers, dict(module._buffers)) for module in modules]
        alike: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
        for _, before in self._tables:
            for tensor in before.values():
                # A sparse buffer has no bytes end to end; it is put back only where it was replaced.
                if tensor is not None and tensor.layout == torch.strided:
                    alike.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        with torch.no_grad():
            self._values = [_Values.of(tensors) for tensors in alike.values()]

    def put_back(self) -> None:
        for table, before in self._tables:
            if table.keys() != before.keys() or not all(map(operator.is_, table.values(), before.values())):
                table.clear()
                table.update(before)
        with torch.no_grad():
            for values in self._values:
                values.put_back()


class ModelState:
    """Puts a model in eval mode inside a `with` block, and puts everything back after it.

    Kept and put back: each module's own training flag, every buffer (a forward pass may write to one even in
    eval mode), and the state of the random generators of torch (CPU and the model's device), NumPy and Python.
    Parameters, their `requires_grad` and their `.grad` are never written to.

    Flags are set directly, not by `model.eval()`, which a model may override with a side effect.

    Attributes:
        device: Where the model's first parameter or buffer lies.

    Raises:
        ModelError: The model is not a `torch.nn.Module` that runs in Python on tensors that autograd can use.
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise ModelError(f"model is a {_kind(model)}; accepted: a torch.nn.Module (an instance, not a class)")
        self._modules = _walk(model)
        _require_differentiable(model, self._modules)
        self.device = _device_of(self._modules)

    def __enter__(self) -> ModelState:
        self._flags = [module.training for module in self._modules]
        self._buffers = _Buffers(self._modules)
        self._random = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
        self._cuda_state = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        for module, training in zip(self._modules, self._flags, strict=True):
            if training:
                module.training = False
        return self

    def __exit__(self, *_: object) -> None:
        for module, training in zip(self._modules, self._flags, strict=True):
            if module.training != training:
                module.training = training
        self.rewind()

    def rewind(self) -> None:
        """Put back buffers and random state, so that a second forward pass starts where the first one did."""
        python, numpy, cpu = self._random
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if self._cuda_state is not None:
            torch.cuda.set_rng_state(self._cuda_state, self.device)
        self._buffers.put_back()


def _kind(value: object) -> str:
    return f"class ({value.__name__})" if isinstance(value, type) else type(value).__name__


def _walk(model: nn.Module) -> list[nn.Module]:
    # In the order of `modules()`, several times faster, which a small network feels.
    waiting, found = [model], dict[nn.Module, None]()
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = None
            if module._modules:
                waiting += [child for child in reversed(module._modules.values()) if child is not None]
    return list(found)


def _require_differentiable(model: nn.Module, modules: list[nn.Module]) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            f"model is a {type(model).__name__}: TorchScript runs its layers without the hooks that read them; pass "
            "the torch.nn.Module that it was made from"
        )
    if any(isinstance(module, LazyModuleMixin) and module.has_uninitialized_params() for module in modules):
        raise ModelError(
            "the model has lazy modules whose parameters do not exist yet, and making them would change the model; "
            "run it once before"
        )
    parameter = next((p for module in modules for p in module._parameters.values() if p is not None), None)
    if parameter is not None and parameter.is_inference():
        raise ModelError(
            "the model's parameters were made under torch.inference_mode, and autograd cannot use them; make or "
            "load the model outside of it"
        )


def _device_of(modules: list[nn.Module]) -> torch.device:
    for module in modules:
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None:
                return tensor.device
    return torch.device("cpu")


HookTable = dict[int, tuple[str, str, ForwardHook]]
_HOOK_KINDS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def hooks_on(model: nn.Module) -> HookTable:
    """Return every hook on a model's modules: {hook id: (module name, kind, function)}."""
    return {
        key: (name, kind.strip("_").removesuffix("s").replace("_", " "), hook)
        for name, module in model.named_modules()
        for kind in _HOOK_KINDS
        for key, hook in getattr(module, kind).items()
    }


def remove_hooks(model: nn.Module, keys: set[int]) -> None:
    """Take away the hooks with these ids, whoever placed them."""
    for module in model.modules():
        # Beside the four tables there are others that hold flags of the same hooks by the same ids.
        for name, table in vars(module).items():
            if "_hooks" in name and isinstance(table, dict):
                for key in keys & set(table):
                    del table[key]
