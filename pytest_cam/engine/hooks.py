"""Every hook this package places, and its removal; what a call may change in a model, and putting it back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
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


@dataclass(frozen=True)
class _KeptBuffer:
    holder: dict[str, torch.Tensor | None]
    name: str
    tensor: torch.Tensor
    copy: torch.Tensor
    version: int | None

    @classmethod
    def of(cls, module: nn.Module) -> Iterator[_KeptBuffer]:
        # torch's own modules write through the tensor, so its version counter tells; others may use `.data`.
        counted = type(module).__module__.startswith("torch.nn.")
        for name, tensor in module._buffers.items():
            if tensor is not None:
                version = tensor._version if counted and not tensor.is_inference() else None
                yield cls(module._buffers, name, tensor, tensor.clone(), version)

    def put_back(self) -> None:
        if self.holder.get(self.name) is not self.tensor:
            self.holder[self.name] = self.tensor
        if self.version is not None and self.tensor._version == self.version:
            return
        if not torch.equal(self.tensor, self.copy):
            with torch.inference_mode(self.tensor.is_inference()), torch.no_grad():
                self.tensor.copy_(self.copy)


class ModelState:
    """Puts a model in eval mode inside a `with` block, and puts everything back after it.

    Kept and put back: each module's own training flag, every buffer (a forward pass may write to one even in
    eval mode), and the state of the random generators of torch (CPU and the model's device), NumPy and Python.
    Parameters, their `requires_grad` and their `.grad` are never written to.

    Flags are set directly, not by `model.eval()`, which a model may override with a side effect.

    Attributes:
        device: Where the model's first parameter or buffer lies.

    Raises:
        ModelError: The model is not a `torch.nn.Module`.
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise ModelError(f"model is a {_kind(model)}; accepted: a torch.nn.Module (an instance, not a class)")
        self._modules: list[nn.Module] = list(_walk(model))
        self.device = _device_of(self._modules)

    def __enter__(self) -> ModelState:
        self._flags = [module.training for module in self._modules]
        with torch.no_grad():
            self._buffers = [kept for module in self._modules for kept in _KeptBuffer.of(module)]
        self._random = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self._cuda_state = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        for module, training in zip(self._modules, self._flags, strict=True):
            if training:
                module.training = False
        return self

    def __exit__(self, *_: object) -> None:
        for module, training in zip(self._modules, self._flags, strict=True):
            if module.training != training:
                module.training = training
        for buffer in self._buffers:
            buffer.put_back()
        python, numpy, cpu = self._random
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if self._cuda_state is not None:
            torch.cuda.set_rng_state(self._cuda_state, self.device)


def _kind(value: object) -> str:
    return f"class ({value.__name__})" if isinstance(value, type) else type(value).__name__


def _walk(module: nn.Module) -> Iterator[nn.Module]:
    # Several times faster than `modules()`, which a small network feels; a module seen twice does no harm.
    yield module
    for child in module._modules.values():
        if child is not None:
            yield from _walk(child)


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
