"""Which model a map is of: its architecture, and its weights, each as a short digest that is the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

_DIGITS = 16


@dataclass(frozen=True)
class ModelIdentity:
    """A model by what it is made of and what it has learnt.

    Attributes:
        architecture: A digest of the names and types of its modules and the shapes of what they hold; None where the
            model is no module.
        weights: A digest of the names, types and bytes of its weights and buffers; None where it is no module, or has
            none. The same weights in another precision are others.
    """

    architecture: str | None
    weights: str | None


def identity_of(model: Any) -> ModelIdentity:
    """Return the identity of a model, the same in every process, on every device and behind torch.compile.

    Args:
        model: A module, or any other callable, of which nothing is known.
    """
    if not isinstance(model, nn.Module):
        return ModelIdentity(None, None)
    bare = _unwrapped(model)
    state = sorted(bare.state_dict().items(), key=lambda entry: _plain(entry[0]))
    architecture, weights = hashlib.sha256(), hashlib.sha256()
    for name, module in bare.named_modules():
        if "_orig_mod" in module._modules:
            continue  # what torch.compile wraps around a part
        architecture.update(f"{_plain(name)}:{type(module).__module__}.{type(module).__qualname__};".encode())
    some = False
    for name, value in state:
        for tensor in _tensors(value):
            some = True
            architecture.update(f"{_plain(name)}:{tuple(tensor.shape)};".encode())
            weights.update(f"{_plain(name)}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
            weights.update(_bytes(tensor))
    return ModelIdentity(architecture.hexdigest()[:_DIGITS], weights.hexdigest()[:_DIGITS] if some else None)


def _unwrapped(model: nn.Module) -> nn.Module:
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, wrappers):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _plain(name: str) -> str:
    # Parts of a model may be compiled, too.
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Return the tensors in an entry of a state dict; quantised modules keep theirs in tuples."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _bytes(tensor: torch.Tensor) -> memoryview | bytes:
    fixed = tensor.detach()
    if fixed.is_meta:
        return b""
    if fixed.is_quantized:
        fixed = fixed.dequantize()
    if fixed.layout != torch.strided:
        fixed = fixed.to_dense()
    flat = fixed.resolve_conj().resolve_neg().to("cpu").contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else b""
