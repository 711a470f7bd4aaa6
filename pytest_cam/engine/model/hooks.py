"""Every hook this package places, and its removal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn, overrides
from torch.nn.modules import module as of_all_modules
from torch.utils.hooks import RemovableHandle

ForwardHook = Callable[..., Any]
# The innermost function mode that is entered, which sees what a hook sees and more; or None.
function_mode: Callable[[], Any] = overrides._get_current_function_mode


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


def takes_hooks(module: nn.Module) -> bool:
    """Return whether hooks can be placed on a module; a part that `torch.jit` made takes none."""
    return not isinstance(module, torch.jit.ScriptModule)


def works_in_place(module: nn.Module, args: tuple[Any, ...], output: Any) -> bool:
    """Return whether a module has made what it was given its output, which the model may go on with by either name."""
    # To ask a module for what it has not is slow.
    return any(output is arg for arg in args) and getattr(module, "inplace", False) is True


HookTable = dict[int, tuple[str, str, ForwardHook]]
HOOK_KINDS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_GLOBAL_KINDS = [f"_global{kind}" for kind in HOOK_KINDS]


def hooks_on(model: nn.Module) -> HookTable:
    """Return every hook on a model's modules: {hook id: (module name, kind, function)}."""
    return {
        key: (name, kind.strip("_").removesuffix("s").replace("_", " "), hook)
        for name, module in model.named_modules()
        for kind in HOOK_KINDS
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


def has_global_hooks() -> bool:
    """Return whether hooks are placed that see every module of the process."""
    return any(map(vars(of_all_modules).get, _GLOBAL_KINDS))
