"""Where the image goes in what a model is called with, and what is told of it where the model fails."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pytest_cam.errors import is_ours

__tracebackhide__ = is_ours

# What models of Hugging Face for images and words call these.
_WORDS, _IMAGE = "input_ids", "pixel_values"


def arguments_of(
    model: Any, image: torch.Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return what a model is called with: the image first, or by its name where words come first.

    Args:
        model: A module or another callable.
        image: (n, C, H, W).
        args: What else the model takes.
        kwargs: The same, by name.
    """
    if isinstance(model, nn.Module) and _IMAGE not in kwargs and _takes_words_first(model):
        return args, {**kwargs, _IMAGE: image}
    return (image, *args), kwargs


def _takes_words_first(model: nn.Module) -> bool:
    try:
        first, *rest = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):  # of what is not written in Python, or takes nothing
        return False
    return first == _WORDS and _IMAGE in rest


def tell_of_arguments(
    error: Exception, model: Any, inputs: torch.Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Tell in an error of a model of what it was given, where Python has notes in errors (3.11).

    Args:
        error: What the call raised.
        model: A module or another callable.
        inputs: What was given for the image.
        args: What else the model was given.
        kwargs: The same, by name.
    """
    if not hasattr(error, "add_note"):
        return
    shape = tuple(inputs.shape)
    error.add_note(f"The model was given an input {shape}, that is (B, C, H, W), made of images {shape[1:]}.")
    given, named = arguments_of(model, inputs, args, kwargs)
    if not given and _WORDS not in named:
        error.add_note(
            f"It was given as {_IMAGE}, and the model takes {_WORDS}, too: model_kwargs={{{_WORDS!r}: ...}}."
        )
