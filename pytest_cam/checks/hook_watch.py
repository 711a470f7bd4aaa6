"""The hooks of a test: those that leave with it, and those that it left behind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import CodeType
from typing import Any
from weakref import ref

from torch import nn
from torch.utils.hooks import RemovableHandle

from pytest_cam.engine.layers import resolve
from pytest_cam.engine.model.hooks import ForwardHook, HookManager, HookTable, hooks_on, remove_hooks
from pytest_cam.errors import HookLeakError, LayerError, is_ours, kind_of
from pytest_cam.verdicts.message import short_path

__tracebackhide__ = is_ours

# From how many items on a list, tuple or dict within a test's reach is taken for data, and not for a family of models.
_MOST_MODELS = 100
# What places hooks of its own when a model first runs, and counts on them from then on.
_HOME_OF_LASTING_HOOKS = "transformers."


class ModelWatch:
    """Tells which hooks a test left behind on the models that it used."""

    def __init__(self) -> None:
        # Weak, since a test may go through many models: one that is gone leaves no hook behind.
        self._models: list[tuple[ref[nn.Module], set[int]]] = []

    def see(self, model: Any) -> None:
        """Note the hooks that a model has now, when it is seen for the first time."""
        # By its type: a mock or proxy of a model says that it is one, and has no hooks to show.
        if issubclass(type(model), nn.Module) and all(known() is not model for known, _ in self._models):
            self._models.append((ref(model), set(hooks_on(model))))

    def see_reached_by(self, test: Any) -> None:
        """Note the hooks of the models that a test can reach: in its module, its class, its instance, its fixtures."""
        for owner in (getattr(test, name, None) for name in ("module", "cls", "instance")):
            self._see_all(getattr(owner, "__dict__", {}))
        self._see_all(getattr(test, "funcargs", {}))

    def _see_all(self, named: Mapping[str, Any]) -> None:
        """Note the hooks of the models among these values, and among the items of lists, tuples and dicts there."""
        for value in list(named.values()):
            self.see(value)
            if isinstance(value, (list, tuple, dict)) and len(value) <= _MOST_MODELS:
                for item in value.values() if isinstance(value, dict) else value:
                    self.see(item)

    def settle(self) -> None:
        """Take away the hooks that have come since, and name them.

        Raises:
            HookLeakError: There are any.
        """
        leaks = []
        for known, before in self._models:
            model = known()
            if model is None:
                continue
            left: HookTable = {
                key: value for key, value in hooks_on(model).items() if key not in before and not _lasts(value[-1])
            }
            if left:  # to walk through a large model is slow, and most tests leave nothing
                remove_hooks(model, set(left))
            leaks += [_leak(model, *value) for value in left.values()]
        self._models.clear()
        if leaks:
            raise HookLeakError(
                f"the test left {len(leaks)} hook{'s' if len(leaks) > 1 else ''} on a model: {'; '.join(leaks)}. "
                "Keep the handle and remove() it, or place the hook with cam.hooks.add(model, layer, function), which "
                "takes it away with the test. Now removed, so that the next test is not affected"
            )


def _lasts(hook: ForwardHook) -> bool:
    return str(getattr(_called(hook), "__module__", "")).startswith(_HOME_OF_LASTING_HOOKS)


def _called(hook: ForwardHook) -> ForwardHook:
    while isinstance(hook, partial):
        hook = hook.func
    return hook


def _leak(model: nn.Module, name: str, kind: str, hook: ForwardHook) -> str:
    hook = _called(hook)
    function = getattr(hook, "__qualname__", None) or type(hook).__name__
    on = f"on {type(model).__name__} layer {name or '(the model)'}"
    return f"{kind} {getattr(hook, '__module__', '?')}.{function}{_place_of(hook)} {on}"


def _place_of(hook: ForwardHook) -> str:
    """Return where a hook is written, in brackets: pytest shows no line of the user's where a test is torn down."""
    # By their types: what stands for something else says that it has anything.
    codes = (getattr(each, "__code__", None) for each in (hook, type(hook).__call__))
    code = next((code for code in codes if isinstance(code, CodeType)), None)
    return "" if code is None else f" ({short_path(code.co_filename)}:{code.co_firstlineno})"


class BoundHooks:
    """Places hooks that leave with the test."""

    def __init__(self, watch: ModelWatch) -> None:
        self._watch = watch
        self._hooks = HookManager()

    def add(self, model: nn.Module, layer: str | nn.Module, hook: ForwardHook) -> RemovableHandle:
        """Place `hook(module, args, output)` on a layer until the test ends.

        Args:
            model: The model.
            layer: A dotted name or a module of the model.
            hook: What to call after each forward pass of the layer; what it returns, unless None, replaces the output.

        Returns:
            The handle, for those who want the hook to leave earlier.

        Raises:
            LayerError: There is no such layer in the model.
        """
        self._watch.see(model)
        found = resolve(model, layer) if isinstance(layer, (str, nn.Module)) else None
        if found is None:
            given = repr(layer) if isinstance(layer, (str, int)) else kind_of(layer)
            raise LayerError(f"layer is {given}; accepted: a dotted name or a module of the model")
        return self._hooks.add(found.module, hook)

    def remove_all(self) -> None:
        """Take away every hook that was placed here."""
        self._hooks.remove_all()
