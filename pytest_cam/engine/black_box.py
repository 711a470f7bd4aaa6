"""Models that are not modules in Python: any callable, a session of ONNX Runtime, a file of TorchScript."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import update_wrapper
from inspect import isfunction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pytest_cam.engine.methods import Method, names_for_any_callable
from pytest_cam.engine.model.state import ModelState
from pytest_cam.engine.reading.outputs import with_each
from pytest_cam.errors import ModelError, is_ours, kind_of
from pytest_cam.randomness import RandomState

__tracebackhide__ = is_ours

# What a session of ONNX Runtime says of its input, where it is no other.
_DTYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(double)": torch.float64}
# Numbers that are longer than torch's longest, real and complex, and what they become: by NumPy's letters for them.
_LONGEST = {"g": "d", "G": "D"}

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

        def run(*args: Any, **kwargs: Any) -> Any:
            return as_tensors(call(*args, **kwargs))

        # So that its signature is that of the callable.
        self.model: Callable[..., Any] = update_wrapper(run, call, assigned=(), updated=())

    def __enter__(self) -> BlackBox:
        self._random = RandomState()
        return self

    def __exit__(self, *_: object) -> None:
        self._random.put_back()

    def runs_users_code(self) -> bool:
        """Return True: what it does is not known."""
        return True

    def users_code(self) -> RandomState:
        """Return a `with` block for other code of the user, which puts back the random numbers that it draws."""
        return RandomState()

    def run(self, inputs: torch.Tensor, /, *args: Any, **kwargs: Any) -> Any:
        """Run the callable on a copy of the inputs, (n, C, H, W), which it may overwrite, and what else it takes."""
        return self.model(inputs.clone(), *args, **kwargs)

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
    needing = [method.name for method in methods if not method.takes_any_callable]
    if _is_opaque(model):
        if needing:
            *first, last = map(repr, names_for_any_callable())
            is_named = isfunction(model) and model.__name__.isidentifier()  # which a lambda is not
            hint = f". If it makes the model, call it: {model.__name__}()" if is_named else ""
            raise ModelError(
                f"model is {kind_of(model)}, and {needing[0]} needs the layers of a torch.nn.Module; methods "
                f"for any callable are {', '.join(first)} and {last}{hint}"
            )
        return BlackBox(model)
    return ModelState(model, opens=bool(needing))  # type: ignore[arg-type]  # what is no module is refused there


def _is_opaque(model: Any) -> bool:
    """Return whether a model is a callable, or a session, into which nobody can look."""
    if isinstance(model, nn.Module):
        return _is_frozen(model)
    if isinstance(model, (type, torch.export.ExportedProgram)):
        return False
    return callable(model) or _is_session(model)


def _is_frozen(model: Any) -> bool:
    """Return whether a model is one of TorchScript that `torch.jit.freeze` has made: its flags and weights are gone."""
    # A module of Python has its flag in its dict, which is the first to look into: to ask for torch.jit takes longer.
    return (
        "training" not in vars(model) and isinstance(model, torch.jit.ScriptModule) and not hasattr(model, "training")
    )


def _is_session(model: Any) -> bool:
    """Return whether a model is a session of ONNX Runtime, or what has its methods."""
    return all(callable(getattr(model, name, None)) for name in ("run", "get_inputs", "get_outputs"))


def _of_session(session: Any) -> Callable[..., Any]:
    names = [each.name for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs()]
    if len(names) != 1:
        raise ModelError(
            f"the session takes {len(names)} inputs ({', '.join(names)}); accepted: one, or a function of the image "
            "that runs the session with the others"
        )
    image = session.get_inputs()[0]
    dtype = _DTYPES.get(image.type)
    # Exporters fix the batch size, as a rule to 1, unless they are told not to; a free length is a name or None.
    fixed = [length if isinstance(length, int) and length > 0 else None for length in image.shape]
    rows = next(iter(fixed), None)

    def run(images: torch.Tensor) -> dict[str, npt.NDArray[Any]]:
        return dict(zip(outputs, session.run(None, {names[0]: images.numpy()}), strict=True))

    def call(inputs: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            raise ModelError(
                "a session takes the image alone, and model_args= or model_kwargs= is given; accepted: a function of "
                "all of them that runs the session"
            )
        _require_fit(image, fixed, inputs)
        images = inputs if dtype is None else inputs.to(dtype)
        found = run(images) if rows is None else _in_parts(run, images, rows)
        return found[outputs[0]] if len(found) == 1 else found

    return call


def _require_fit(image: Any, fixed: list[int | None], inputs: torch.Tensor) -> None:
    """Refuse images that are not of the type, or not of the shape but for the batch, that a session says it takes."""
    if (fixed and not _fit(fixed, inputs)) or "int" in image.type:
        such_as = [
            f", such as lambda images: session.run(None, {{{image.name!r}: images.permute{order}.numpy()}})[0]"
            for order in ((0, 2, 3, 1), (0, 3, 1, 2))
            if inputs.ndim == 4 and _fit(fixed, inputs.permute(order))
        ]
        raise ModelError(
            f"the session takes {image.name!r}, a {image.type} of shape {tuple(image.shape)}, and the images are "
            f"{inputs.dtype} {tuple(inputs.shape)}; accepted: one that takes them, or a function of the images that "
            f"runs the session with what it takes{such_as[0] if such_as else ''}"
        )


def _fit(fixed: list[int | None], inputs: torch.Tensor) -> bool:
    return len(fixed) == inputs.ndim and all(
        length in (None, has) for length, has in zip(fixed[1:], inputs.shape[1:], strict=True)
    )


def _in_parts(
    run: Callable[[torch.Tensor], dict[str, npt.NDArray[Any]]], images: torch.Tensor, rows: int
) -> dict[str, npt.NDArray[Any]]:
    """Run images in batches of a fixed size, of which the last one is filled up with copies of the last image."""
    missing = -len(images) % rows
    filled = torch.cat([images, images[-1:].expand(missing, *images.shape[1:])]) if missing else images
    found = [run(part) for part in torch.split(filled, rows)]
    return {
        name: np.concatenate([each[name] for each in found])[: len(images)] if _has_rows(array, rows) else array
        for name, array in found[0].items()
    }


def _has_rows(array: Any, rows: int) -> bool:
    return isinstance(array, np.ndarray) and array.ndim > 0 and len(array) == rows


def as_tensors(output: Any) -> Any:
    """Return an output with each array of numbers in it as a tensor."""
    return with_each(output, lambda held: held if isinstance(held, torch.Tensor) else _as_tensor(held))


def _as_tensor(array: npt.NDArray[Any]) -> Any:
    if array.dtype.kind not in "biufc":
        return array  # no numbers: the names of classes, perhaps
    kind = _LONGEST.get(array.dtype.char, array.dtype.newbyteorder("="))
    native = np.ascontiguousarray(array.astype(kind, copy=False)).reshape(array.shape)
    # torch warns of arrays that cannot be written to, as those of JAX are.
    return torch.from_numpy(native if native.flags.writeable else native.copy())
