"""Which modules ran in a forward pass, in which order, and what those that ended before one layer returned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import nn

from pytest_cam.engine.reading.nested import mapped

# Stands for a module's forward: called with the module, its own forward, and what that is given.
Forward: TypeAlias = Callable[[nn.Module, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


@contextmanager
def each_forward(modules: Iterable[nn.Module], replacement: Forward) -> Iterator[None]:
    """Put one function in the place of every module's forward within a `with` block.

    Args:
        modules: The modules.
        replacement: Called in place of each forward; its own hooks run around it as ever.
    """
    own: list[tuple[dict[str, Any], bool, Any]] = []
    try:
        for module in modules:
            # Written to the dict itself, since a module may have opinions on attributes that are set.
            attributes = vars(module)
            own.append((attributes, "forward" in attributes, attributes.get("forward")))
            attributes["forward"] = _bound(replacement, module, module.forward)
        yield
    finally:
        for attributes, was_there, forward in reversed(own):
            if was_there:
                attributes["forward"] = forward
            else:
                del attributes["forward"]


def _bound(replacement: Forward, module: nn.Module, own: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: replacement(module, own, args, kwargs)


@dataclass(eq=False)
class Step:
    """One execution of a module, in the order in which they begin.

    Attributes:
        module: The module.
        kept: What it returned, in copies, if it is kept or the layer's.
        is_kept: Whether it ended before the layer's began, and no such execution contains it.
        is_layer: Whether it is the execution of the layer that is replaced.
    """

    module: nn.Module
    kept: Any = None
    is_kept: bool = False
    is_layer: bool = False


@dataclass(eq=False)
class _Call:
    """One execution of a module, with the executions within it."""

    module: nn.Module
    parent: _Call | None
    within: list[_Call] = field(default_factory=list)
    output: Any = None
    has_layer: bool = False

    def forget(self) -> None:
        """Let go of the outputs within: this execution's own output stands for them."""
        for call in self.within:
            call.output = None

    def steps(self) -> Iterator[Step]:
        """Return the executions within, and those within them, as they began."""
        for call in self.within:
            yield Step(call.module)
            yield from call.steps()


def copied(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor's values in memory of their own."""
    return tensor.detach().clone()


class Recorder:
    """Sees a forward pass through `each_forward`.

    Args:
        layer: The layer whose last execution is looked for.

    Attributes:
        executions: How often the layer ran.
    """

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer
        self._now = self._root = _Call(nn.Module(), None)  # no module's own: all executions are within it
        self._last: _Call | None = None
        self.executions = 0

    def __call__(
        self, module: nn.Module, own: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a module as it is, and note what it returns."""
        call = _Call(module, self._now)
        self._now.within.append(call)
        self._now = call
        try:
            output = own(*args, **kwargs)
        finally:
            self._now = call.parent or self._root
        # Copies, since what follows may write to it.
        call.output = mapped(output, copied)
        if module is self._layer:
            self.executions += 1
            self._last = call
            for around in _upwards(call.parent):
                around.has_layer = True
        if not call.has_layer or module is self._layer:
            call.forget()
        return output

    def steps(self) -> list[Step]:
        """Return every execution that counts, in the order in which they began.

        Left out are those within executions that are kept, and within the layer's. Empty where the layer never ran.
        """
        if self._last is None:
            return []
        return list(_around(self._root, self._last, set(map(id, _upwards(self._last)))))


def _upwards(call: _Call | None) -> Iterator[_Call]:
    while call is not None:
        yield call
        call = call.parent


def _around(outer: _Call, layer: _Call, path: set[int]) -> Iterator[Step]:
    is_past = False
    for call in outer.within:
        if call is layer:
            yield Step(call.module, call.output, is_layer=True)
        elif id(call) in path:
            yield Step(call.module)
            yield from _around(call, layer, path)
        elif is_past:
            yield Step(call.module)
            yield from call.steps()
        else:
            yield Step(call.module, call.output, is_kept=True)
        is_past = is_past or id(call) in path
