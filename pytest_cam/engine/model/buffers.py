"""The buffers of a model: what they hold, and putting that back."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import torch
from torch import nn

from pytest_cam.engine.model.bits import same_bits

BufferTable = dict[str, torch.Tensor | None]


@dataclass(frozen=True)
class _Values:
    """What some tensors hold that have one type, one device and one number of dimensions.

    They are kept end to end: one copy and one comparison for all, since one each is what a small network would feel.
    """

    tensors: list[torch.Tensor]
    shapes: list[torch.Size]
    held: torch.Tensor

    @classmethod
    def of(cls, tensors: list[torch.Tensor]) -> _Values:
        return cls(tensors, [tensor.shape for tensor in tensors], _end_to_end(tensors))

    def put_back(self) -> None:
        if self.untouched():
            return
        start = 0
        for tensor, shape in zip(self.tensors, self.shapes, strict=True):
            before = self.held[start : start + shape.numel()].view(shape)
            start += shape.numel()
            if tensor.shape != shape or tensor.dtype != before.dtype:
                tensor.data = before.clone()
            elif not same_bits(tensor, before):
                with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                    tensor.copy_(before)

    def untouched(self) -> bool:
        try:
            return same_bits(_end_to_end(self.tensors), self.held)
        except RuntimeError:  # one of them has another number of dimensions now
            return False


def _is_peculiar(tensor: torch.Tensor) -> bool:
    return tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_nested


def _is_as_before(table: BufferTable, before: BufferTable) -> bool:
    same_names = list(table.keys()) == list(before)
    return same_names and all(map(operator.is_, table.values(), before.values()))


def _refill(table: BufferTable, before: BufferTable) -> None:
    if isinstance(table, dict):
        table.clear()
        table.update(before)
        return
    # That of a TorchScript module: buffers are replaced there, but never added or taken away.
    for name, tensor in before.items():
        table[name] = tensor


def _end_to_end(tensors: list[torch.Tensor]) -> torch.Tensor:
    dimensions = tensors[0].ndim
    if dimensions == 0:
        return torch.stack(tensors)
    return torch.cat(tensors if dimensions == 1 else [tensor.reshape(-1) for tensor in tensors])


class Buffers:
    """The buffers of some modules: which tensors they are, and what those hold.

    Args:
        modules: The modules.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self._empty: list[BufferTable] = []
        self._tables: list[tuple[BufferTable, BufferTable]] = []
        alike: dict[tuple[torch.dtype, torch.device, int], list[torch.Tensor]] = {}
        for module in modules:
            table = module._buffers
            if not table:
                self._empty.append(table)
                continue
            self._tables.append((table, dict(table.items())))
            for tensor in table.values():
                # One of these kinds has no values end to end; it is put back only where it was replaced.
                if tensor is not None and not _is_peculiar(tensor):
                    alike.setdefault((tensor.dtype, tensor.device, tensor.ndim), []).append(tensor)
        with torch.no_grad():
            self._values = [_Values.of(tensors) for tensors in alike.values()]

    def are_as_before(self) -> bool:
        """Return whether nothing was written to a buffer, and none added, replaced or taken away."""
        replaced = any(self._empty) or not all(_is_as_before(table, before) for table, before in self._tables)
        return not replaced and all(values.untouched() for values in self._values)

    def put_back(self) -> None:
        """Make the buffers hold what they held."""
        for table in filter(len, self._empty):
            table.clear()
        for table, before in self._tables:
            if not _is_as_before(table, before):
                _refill(table, before)
        with torch.no_grad():
            for values in self._values:
                values.put_back()
