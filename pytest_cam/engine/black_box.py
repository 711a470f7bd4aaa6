"""Models that are not modules in Python: any callable, a session of ONNX Runtime, a file of TorchScript."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from pytest_cam.engine.methods import METHODS, Method
from pytest_cam.engine.state import ModelState
from pytest_cam.errors import ModelError, is_ours
from pytest_cam.randomness import RandomState

__tracebackhide__ = is_ours

Model: TypeAlias = nn.Module | Callable[..., Any]


class BlackBox(AbstractContextManager["BlackBox"]):
    """A callable as the engine runs a model: from a tensor (B, C, H, W) to tensors, with nothing to put back.

    Attributes:
        model: The callable, whose arrays come back as tensors.
        device: The CPU, where it gets its input.
        dtype: None: it gets the input as it is.
        is_known: False: what it does is not known.
    """

    device = torch.device("cpu")
    dtype = None
    is_known = False

    def __init__(self, model: Callable[..., Any]) -> None:
        call = _of_session(model) if _is_session(model) else model
        self.model = lambda *args, **kwargs: _as_tensors(call(*args, **kwargs))

    def __enter__(self) -> BlackBox:
        self._random = RandomState()
        return self

    def __exit__(self, *_: object) -> None:
        self._random.put_back()

    def rewind(self) -> None:
        """Let random numbers be as they were before the first pass."""
        self._random.put_back()


State: TypeAlias = ModelState | BlackBox


def state_of(model: Model, methods: Sequence[Method]) -> State:
    """Return what runs a model and puts it back.

    Args:
        model: A module; or, for methods without layers and gradients, any callable or a session of ONNX Runtime.
        methods: What will be computed.

    Raises:
        ModelError: The model is none of these, or the methods need a module and it is another callable.
    """
    opaque = not isinstance(model, (nn.Module, torch.export.ExportedProgram))
    needing = [method.name for method in methods if method.takes_a_layer or method.takes_gradients]
    if opaque and not isinstance(model, type) and (callable(model) or _is_session(model)):
        if needing:
            able = [name for name, method in METHODS.items() if not (method.takes_a_layer or method.takes_gradients)]
            raise ModelError(
                f"model is a {type(model).__name__}, and {needing[0]} needs the layers of a torch.nn.Module; methods "
                f"for any callable are {' and '.join(map(repr, able))}"
            )
        return BlackBox(model)
    return ModelState(model, opens=bool(needing))  # type: ignore[arg-type]  # what is no module is refused there


def _is_session(model: Any) -> bool:
    """Return whether a model is a session of ONNX Runtime, or what has its methods."""
    return all(callable(getattr(model, name, None)) for name in ("run", "get_inputs", "get_outputs"))


def _of_session(session: Any) -> Callable[[torch.Tensor], Any]:
    names = [each.name for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs()]
    if len(names) != 1:
        raise ModelError(
            f"the session takes {len(names)} inputs ({', '.join(names)}); accepted: one, or a function of the image "
            "that runs the session with the others"
        )

    def run(inputs: torch.Tensor) -> Any:
        found = session.run(None, {names[0]: inputs.numpy()})
        return found[0] if len(found) == 1 else dict(zip(outputs, found, strict=True))

    return run


def _as_tensors(output: Any) -> Any:
    """Return an output with each array in it as a tensor."""
    if isinstance(output, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(output))
    if isinstance(output, Mapping):
        return {key: _as_tensors(item) for key, item in output.items()}
    if type(output) in (list, tuple):
        return type(output)(_as_tensors(item) for item in output)
    return output
