"""Where the image goes in what a model is called with."""

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
