"""Function modes of this package's own, which run around code of the user."""

from __future__ import annotations

from typing import Any

from torch import overrides
from torch.overrides import TorchFunctionMode

from pytest_cam.engine.model.hooks import function_mode

_stack: Any = overrides  # whose functions for it have no types


class OwnMode(TorchFunctionMode):
    """A function mode that leaves the stack itself, wherever it lies there.

    Torch takes away the topmost one: where a model has entered a mode of its own and not left it, that would be the
    model's, and this one would stay for the rest of the process.
    """

    def __exit__(self, *_: object) -> None:
        left_open = []
        while function_mode() not in (self, None):
            left_open.append(_stack._pop_mode())
        if function_mode() is self:
            _stack._pop_mode()
        for mode in reversed(left_open):
            _stack._push_mode(mode)
