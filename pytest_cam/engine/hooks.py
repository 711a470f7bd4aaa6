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

from pytest_cam.errors import ModelError, is_ours

__tracebackhide__ = is_ours

ForwardHook = Callable[..., Any]
BufferTable = dict[str, torch.Tensor | None]


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


@dataclass(frozen=True)
class _Values:
    """What some tensors hold that have one type, one device and one number of dimensions.

    They are kept end to end: one copy and one comparison for all, since one each is what a small network would feel.
    """

    tensors: list[torch.Tensor]
    shapes: list[torch.Size]
    held: torch.Tensor

    @classmethod
    def of(cls, tensors: list[torch.Tensor]) -> _Values:
        return cls(tensors, [tensor.shape for tensor in tensors], _end_to_end(tensors))

    def put_back(self) -> None:
        if self._untouched():
            return
        start = 0
        for tensor, shape in zip(self.tensors, self.shapes, strict=True):
            before = self.held[start : start + shape.numel()].view(shape)
            start += shape.numel()
            if tensor.shape != shape or tensor.dtype != before.dtype:
                tensor.data = before.clone()
            elif not _same_bits(tensor, before):
                with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                    tensor.copy_(before)

    def _untouched(self) -> bool:
        try:
            return _same_bits(_end_to_end(self.tensors), self.held)
        except RuntimeError:  # one of them has another number of dimensions now
            return False


def _end_to_end(tensors: list[torch.Tensor]) -> torch.Tensor:
    dimensions = tensors[0].ndim
    if dimensions == 0:
        return torch.stack(tensors)
    return torch.cat(tensors if dimensions == 1 else [tensor.reshape(-1) for tensor in tensors])


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    kind = _BITS[one.element_size()]
    return torch.equal(one.reshape(-1).view(kind), other.reshape(-1).view(kind))


class _Buffers:
    """The buffers of some modules: which tensors they are, and what those hold."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self._empty: list[BufferTable] = []
        self._tables: list[tuple[BufferTable, BufferTable]] = []
        alike: dict[tuple[torch.dtype, torch.device, int], list[torch.Tensor]] = {}
        for module in modules:
            table = module._buffers
            if not table:
                self._empty.append(table)
                continue
            self._tables.append((table, table.copy()))
            for tensor in table.values():
                # A sparse buffer has no values end to end; it is put back only where it was replaced.
                if tensor is not None and tensor.layout == torch.strided:
                    alike.setdefault((tensor.dtype, tensor.device, tensor.ndim), []).append(tensor)
        with torch.no_grad():
            self._values = [_Values.of(tensors) for tensors in alike.values()]

    def put_back(self) -> None:
        for table in self._empty:
            table.clear()
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
    # In the order of `modules()`, and faster, which a small network feels.
    found: list[nn.Module] = []
    seen: set[nn.Module] = set()
    waiting: list[nn.Module | None] = [model]
    while waiting:
        module = waiting.pop()
        if module is None or module in seen:
            continue
        seen.add(module)
        found.append(module)
        if module._modules:
            waiting.extend(reversed(module._modules.values()))
    return found


def _require_differentiable(model: nn.Module, modules: list[nn.Module]) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            f"model is a {type(model).__name__}: TorchScript runs its layers without the hooks that read them; pass "
            "the torch.nn.Module that it was made from"
        )
    lazy = tuple(kind for kind in set(map(type, modules)) if issubclass(kind, LazyModuleMixin))
    if lazy and any(isinstance(module, lazy) and module.has_uninitialized_params() for module in modules):
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
