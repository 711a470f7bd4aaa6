"""Which model a map is of: its architecture, and its weights, each as a short digest that is the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from pytest_cam.engine.model.bits import array_over, checksum

_DIGITS = 16
_KEPT: WeakKeyDictionary[nn.Module, tuple[list[Any], str]] = WeakKeyDictionary()


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
    architecture = hashlib.sha256()
    for name, module in bare.named_modules():
        if "_orig_mod" in module._modules:
            continue  # what torch.compile wraps around a part
        architecture.update(f"{_plain(name)}:{type(module).__module__}.{type(module).__qualname__};".encode())
    weights = [(_plain(name), tensor) for name, value in state for tensor in _tensors(value)]
    for name, tensor in weights:
        architecture.update(f"{name}:{tuple(tensor.shape)};".encode())
    return ModelIdentity(architecture.hexdigest()[:_DIGITS], _kept_digest(bare, weights) if weights else None)


def _kept_digest(model: nn.Module, weights: list[tuple[str, torch.Tensor]]) -> str:
    """Return the digest of some weights, from an earlier call where they have not changed since.

    To see that takes a fraction of the time: a checksum is read off faster than a digest is worked out.
    """
    if any(tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta for _, tensor in weights):
        return _digest(weights)
    seen = [
        (name, tensor.dtype, tensor.shape, tensor.data_ptr(), _version(tensor), checksum(tensor))
        for name, tensor in weights
    ]
    kept = _KEPT.get(model)
    if kept is None or kept[0] != seen:
        kept = _KEPT[model] = seen, _digest(weights)
    return kept[1]


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _digest(weights: list[tuple[str, torch.Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in weights:
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()[:_DIGITS]


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
    return array_over(flat.view(torch.uint8)).data if flat.numel() else b""
