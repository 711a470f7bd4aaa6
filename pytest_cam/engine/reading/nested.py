"""Tensors in what modules return: alone, or in tuples, lists and dicts within one another."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

import torch

Change = Callable[[torch.Tensor], torch.Tensor]

# What holds no tensor and cannot be changed by whoever gets it.
_PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device)


def mapped(value: Any, change: Change) -> Any:
    """Return a value with each tensor in it replaced, in containers of its own.

    Args:
        value: A tensor, or tuples (named ones, too), lists and dicts of them. What else is in it stays as it is.
        change: From a tensor to what replaces it; called once for a tensor that the value holds several times.
    """
    seen: dict[int, torch.Tensor] = {}

    def replaced(item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            if id(item) not in seen:
                seen[id(item)] = change(item)
            return seen[id(item)]
        if isinstance(item, MutableMapping):
            filled = copy.copy(item)
            for key, part in item.items():
                filled[key] = replaced(part)
            return filled
        if _is_sequence(item):
            parts = [replaced(part) for part in item]
            return item._make(parts) if hasattr(item, "_make") else type(item)(parts)
        return item

    return replaced(value)


def holds(value: Any, tensor: torch.Tensor) -> bool:
    """Return whether `mapped` finds a tensor in a value."""
    found: list[bool] = []

    def look(item: torch.Tensor) -> torch.Tensor:
        found.append(item is tensor)
        return item

    mapped(value, look)
    return any(found)


def other_kind_in(value: Any) -> str:
    """Return the kind of the first object in a value that `mapped` cannot look into, or ""."""
    if isinstance(value, (torch.Tensor, *_PLAIN)):
        return ""
    if isinstance(value, MutableMapping):
        return next(filter(None, map(other_kind_in, value.values())), "")
    if _is_sequence(value):
        return next(filter(None, map(other_kind_in, value)), "")
    return type(value).__name__


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Return the tensors in what a model returned, dataclasses and namespaces too, in a fixed order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors_in(part)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from tensors_in(getattr(value, field.name))
    elif isinstance(value, SimpleNamespace):
        yield from tensors_in(vars(value))


def first_tensor(value: Any) -> torch.Tensor | None:
    """Return the output itself or its first tensor, or None."""
    return next(tensors_in(value), None)


def _is_sequence(value: Any) -> bool:
    # Other kinds of tuples and lists may be made of other things than their items.
    return type(value) in (tuple, list) or (
        isinstance(value, tuple) and (hasattr(value, "_make") or type(value).__module__ == "torch.return_types")
    )
