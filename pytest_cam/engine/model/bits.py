"""The bits that a tensor holds: as whole numbers where they lie, compared, and summed up in one number."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch

# The whole numbers of some sizes, which hold any other value of theirs to the bit.
WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
Array = np.ndarray[Any, np.dtype[Any]]

# How many words are mixed at once where a copy of them is needed, and odd numbers that spread what one bit changes.
_AT_ONCE = 2**22
_SPREAD = 0x9E3779B97F4A7C15 - 2**64, 0xBF58476D1CE4E5B9 - 2**64


def words_of(fixed: torch.Tensor) -> Array | None:
    """Return the memory of a tensor as a vector, row after row; None where NumPy knows none, or rows are not whole.

    Args:
        fixed: A strided tensor without a graph.
    """
    word = WORDS.get(fixed.element_size())
    if word is None or fixed.is_complex() or fixed.is_neg() or fixed.device.type != "cpu" or not are_rows_whole(fixed):
        return None
    return array_over(fixed.as_strided((fixed.numel(),), (1,)).view(word))


def array_over(fixed: torch.Tensor) -> Array:
    """Return a tensor of whole numbers on the CPU as an array over the same memory.

    Unlike by `Tensor.numpy()`, the tensor's storage may still be resized afterwards, as FSDP does; then the array must
    no longer be read.
    """
    return np.from_dlpack(fixed)


def are_rows_whole(fixed: torch.Tensor) -> bool:
    """Return whether rows lie one after the other, each without holes, in any order within, as in channels_last."""
    length = fixed.numel() // len(fixed) if fixed.ndim else 1
    axes = [(size, stride) for size, stride in zip(fixed.shape[1:], fixed.stride()[1:], strict=True) if size > 1]
    last = sum((size - 1) * stride for size, stride in axes)
    return last == length - 1 and (fixed.ndim == 0 or len(fixed) == 1 or fixed.stride(0) == length)


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors of one type and one number of values are the same: NaN is, and -0.0 is not 0.0."""
    word = WORDS.get(one.element_size(), torch.int64)  # a complex number of two
    return torch.equal(one.reshape(-1).view(word), other.reshape(-1).view(word))


def checksum(tensor: torch.Tensor) -> int:
    """Return a number that a write to a tensor changes: for certain one to 32 bits side by side, else all but surely.

    It is of the bits as they lie in memory, and for a tensor on the CPU their CRC-32.

    Args:
        tensor: A strided one, of any device and type.
    """
    if not tensor.numel():
        return 0
    fixed = tensor.detach()
    words = words_of(fixed)
    if words is not None:
        return zlib.crc32(words.data.cast("B"))
    # Where the memory has holes, a copy without them is read.
    whole = fixed.resolve_conj().resolve_neg().contiguous().reshape(-1)
    if whole.device.type == "cpu":
        return zlib.crc32(array_over(whole.view(torch.uint8)).data)
    vector = (torch.view_as_real(whole) if whole.is_complex() else whole).reshape(-1).view(WORDS[whole.element_size()])
    firsts = range(0, len(vector), _AT_ONCE)
    return sum([_mixed(vector[first : first + _AT_ONCE], first) for first in firsts])


def _mixed(words: torch.Tensor, first: int) -> int:
    places = torch.arange(first, first + len(words), device=words.device)
    mixed = (words.to(torch.int64) + places * _SPREAD[0]) * _SPREAD[1]
    mixed ^= mixed >> 29
    return int((mixed * _SPREAD[0]).sum())
