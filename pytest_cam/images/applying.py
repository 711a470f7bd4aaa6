"""Calling what the user preprocesses with, whatever it takes, and reading what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.utils.weak import WeakIdKeyDictionary

from pytest_cam.errors import PreprocessError, is_ours, kind_of
from pytest_cam.images.geometry import Preprocess

__tracebackhide__ = is_ours

ACCEPTED = "a floating point tensor (C, H, W) or (1, C, H, W)"
# Where a dictionary has the input: Hugging Face's processors, and albumentations.
_KEYS = ("pixel_values", "image")


def _as_array(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.array(image, dtype=np.uint8)


def _as_tensor(image: Image.Image) -> torch.Tensor:
    # Not at the top: it takes a second, and few preprocesses want it.
    from torchvision import tv_tensors

    tensor: torch.Tensor = tv_tensors.Image(torch.from_numpy(_as_array(image)).permute(2, 0, 1).contiguous())
    return tensor


# What a callable may want, in the order in which it is tried. A copy of the PIL image, since it may be drawn on, and
# pictures are made from it later.
_FORMS: dict[str, Callable[[Image.Image], Any]] = {
    "a PIL image": Image.Image.copy,
    "an array (H, W, 3)": _as_array,
    "a uint8 tensor (3, H, W)": _as_tensor,
}
# By which object it is: two that are equal to their class may take different ones.
_taken: MutableMapping[Preprocess, str] = WeakIdKeyDictionary()


def apply(preprocess: Preprocess, image: Image.Image) -> torch.Tensor:
    """Make the model's input of an image.

    A Hugging Face processor and an albumentations transform are called in their own ways. Any other callable gets the
    PIL image; where it fails with that, or gives no input, a uint8 array (H, W, 3), then a uint8 tensor (3, H, W).
    Which of them it takes is remembered.

    Args:
        preprocess: The callable.
        image: The RGB image; it is not changed.

    Returns:
        The input (C, H, W), floating point.

    Raises:
        PreprocessError: It cannot be called, it fails, or it returns something else than one input.
    """
    made = _made(preprocess, image)
    first, last = (made.shape[axis] in (1, 3) for axis in (0, 2))
    if last and not first:
        raise PreprocessError(
            f"the preprocess {name_of(preprocess)} returned a {made.dtype} tensor {tuple(made.shape)}, which looks as "
            f"if it had its channels last; accepted: {ACCEPTED}, that is .permute(2, 0, 1) of it"
        )
    return made


def _made(preprocess: Preprocess, image: Image.Image) -> torch.Tensor:
    if not callable(preprocess):
        raise PreprocessError(
            f"preprocess is {kind_of(preprocess)}; accepted: a callable from an RGB PIL image to a "
            f"float tensor (C, H, W){_nearest(preprocess)}"
        )
    if is_processor(preprocess):
        return _applied(preprocess, images=image.copy(), return_tensors="pt")
    if is_albumentations(preprocess):
        return _applied(preprocess, image=_as_array(image))
    problems: dict[str, Exception] = {}
    known = _form_of(preprocess)
    for form in _FORMS if known is None else (known,):
        try:
            result = _applied(preprocess, _FORMS[form](image))
        except PreprocessError as error:
            problems[form] = error
            continue
        _remember(preprocess, form)
        return result
    first = next(iter(problems.values()))
    if first.__cause__ is None or len(problems) == 1:
        raise first
    others = ", ".join(list(problems)[1:])
    raise PreprocessError(
        f"{first}. Given {others} it gives no input either{_nearest(preprocess)}"
    ) from first.__cause__


def is_processor(preprocess: Preprocess) -> bool:
    """Return whether this is an image processor of Hugging Face's transformers, by what it looks like."""
    return isinstance(getattr(preprocess, "model_input_names", None), list)


def is_albumentations(preprocess: Preprocess) -> bool:
    """Return whether this is a transform of albumentations, by what it looks like."""
    keys = getattr(preprocess, "available_keys", None)
    return isinstance(keys, (set, frozenset)) and "image" in keys


def name_of(preprocess: Preprocess) -> str:
    """Return how to call a preprocess in a message."""
    return getattr(preprocess, "__name__", None) or " ".join(repr(preprocess).split())[:120]


def _applied(preprocess: Preprocess, *args: Any, **kwargs: Any) -> torch.Tensor:
    try:
        output = preprocess(*args, **kwargs)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise PreprocessError(
            f"the preprocess {name_of(preprocess)} fails: {type(error).__name__}: {reason}"
        ) from error
    return as_input(output, preprocess)


def _nearest(preprocess: Any) -> str:
    """Return what was meant where this is no preprocess, but what one is made by."""
    for weights in (preprocess, getattr(preprocess, "DEFAULT", None)):  # some weights, or all that there are of a model
        if callable(getattr(weights, "transforms", None)):
            return f". Did you mean {weights}.transforms()?"
    if isinstance(preprocess, type):
        return f". It is a class: did you mean an object of it, {preprocess.__name__}(...)?"
    if isinstance(preprocess, partial) and isinstance(preprocess.func, type):
        made = preprocess.func.__name__
        return f". It makes {made}s: did you mean what it returns when called, as weights.transforms()?"
    if callable(preprocess) and not _takes_anything(preprocess):
        return f". It takes no image: did you mean what it returns when called, {name_of(preprocess)}()?"
    if isinstance(preprocess, (list, tuple)) and preprocess and all(map(callable, preprocess)):
        library = "albumentations" if all(map(is_albumentations, preprocess)) else "torchvision.transforms"
        return f". Did you mean these one after another, {library}.Compose(...)?"
    return ""


def _takes_anything(preprocess: Preprocess) -> bool:
    try:
        return bool(signature(preprocess).parameters)
    except (TypeError, ValueError):  # what is written in C may not tell
        return True


def _form_of(preprocess: Preprocess) -> str | None:
    try:
        return _taken.get(preprocess)
    except TypeError:  # not weakly referable: nothing to remember it by
        return None


def _remember(preprocess: Preprocess, form: str) -> None:
    try:
        _taken[preprocess] = form
    except TypeError:
        return


def as_input(output: Any, preprocess: Preprocess) -> torch.Tensor:
    """Return what a preprocess gave as a tensor (C, H, W).

    Args:
        output: A floating point tensor (C, H, W) or (1, C, H, W); a floating point array of such a shape or with the
            channels last, where 1 or 3 channels leave no doubt; or one of those in a list of one or in a dictionary,
            under "pixel_values" or "image".
        preprocess: Where it came from, for the message.

    Raises:
        PreprocessError: It is something else.
    """
    found = _unwrapped(output)
    if isinstance(found, np.ndarray) and np.issubdtype(found.dtype, np.floating):
        found = _channels_first(found)
    if isinstance(found, torch.Tensor) and found.is_floating_point():
        found = found.as_subclass(torch.Tensor).detach()  # a preprocess may have weights of its own
        if found.ndim == 4 and found.shape[0] == 1:
            found = found[0]
        if found.ndim == 3 and 0 not in found.shape:
            return found
    hint = _nearest(preprocess)
    if callable(found) and not hint:
        hint = ". What it returned can be called: did you mean that, made once?"
    raise PreprocessError(f"the preprocess {name_of(preprocess)} returned {_described(found)}{hint}")


def _unwrapped(output: Any) -> Any:
    if isinstance(output, Mapping):
        output = next((output[key] for key in _KEYS if key in output), output)
    if isinstance(output, (list, tuple)) and len(output) == 1:
        output = output[0]
    return output


def _channels_first(array: npt.NDArray[Any]) -> torch.Tensor | npt.NDArray[Any]:
    one = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
    first, last = (one.ndim == 3 and one.shape[axis] in (1, 3) for axis in (0, 2))
    if first == last:
        return array
    ordered = one if first else one.transpose(2, 0, 1)
    # NumPy computes in float64 unless told otherwise, and models are float32.
    return torch.from_numpy(np.ascontiguousarray(ordered, dtype=np.float32))


def _described(found: Any) -> str:
    """Return what a preprocess gave, what would have been accepted, and what to do about it."""
    kind, cure = kind_of(found), ""
    if isinstance(found, Mapping):
        kind = f"{kind} with the keys {sorted(map(str, found))}"
        cure = f"; a dictionary has it under {' or '.join(map(repr, _KEYS))}"
    elif isinstance(found, (list, tuple)):
        kind = f"{kind} of {len(found)}"
        cure = "; the input alone, of one image at a time"
    elif isinstance(found, Image.Image):
        kind, cure = "a PIL image", "; end it with a step that makes a tensor, such as ToTensor()"
    elif isinstance(found, (torch.Tensor, np.ndarray)):
        array = "tensor" if isinstance(found, torch.Tensor) else "array"
        kind = f"a {found.dtype} {array} {tuple(found.shape)}"
        floating = found.is_floating_point() if isinstance(found, torch.Tensor) else found.dtype.kind == "f"
        if not floating:
            cure = "; scale it to floating point, as the model was trained"
        elif found.ndim == 4 and found.shape[0] > 1:
            cure = f"; these are {found.shape[0]} images, and one goes in"
        elif array == "array" and found.ndim in (3, 4):
            cure = "; which of its axes are the channels is a guess, a tensor says it"
    return f"{kind}; accepted: {ACCEPTED}{cure}"
