"""Checksums of tensors: of their bits as they lie, whatever the type and layout, and spoilt by no rearrangement."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

from pytest_cam.engine.model.bits import _mixed, checksum

KINDS = (torch.bool, torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64)
LAYOUTS: dict[str, Callable[[], torch.Tensor]] = {
    "filters": lambda: torch.zeros(6, 3, 2, 2),
    "channels_last": lambda: torch.zeros(6, 3, 2, 2).to(memory_format=torch.channels_last),
    "transposed": lambda: torch.zeros(5, 4).T,
    "part of a larger one": lambda: torch.zeros(9, 8)[2:7, 3:6],
    "a number": lambda: torch.tensor(0.0),
}


def test_on_the_cpu_it_is_the_crc_of_the_bytes() -> None:
    values = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    assert checksum(values) == zlib.crc32(np.arange(6, dtype=np.float32).tobytes())
    assert checksum(torch.zeros(0, 4)) == 0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_write_to_any_value_changes_it(kind: torch.dtype, layout: str) -> None:
    tensor = LAYOUTS[layout]().to(kind)
    before = checksum(tensor)
    for place in np.ndindex(*tensor.shape):
        tensor[place] = 1
        assert checksum(tensor) != before
        tensor[place] = 0
    assert checksum(tensor) == before


CHANGES: dict[str, Callable[[torch.Tensor], object]] = {
    "signs of a plane": lambda weight: weight[:, :, 1, 1].mul_(-1),
    "twice a plane": lambda weight: weight[:, :, 1, 1].mul_(2),
    "kernels turned": lambda weight: weight.copy_(weight.transpose(2, 3).clone()),
    "channels turned": lambda weight: weight.copy_(weight.flip(1).clone()),
    "filters turned": lambda weight: weight.copy_(weight.flip(0).clone()),
}


def of_words(tensor: torch.Tensor) -> int:
    """Return what is worked out on a GPU."""
    return _mixed(tensor.reshape(-1).view(torch.int32), 0)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("summed", [checksum, of_words])
def test_no_rearrangement_goes_unseen(summed: Callable[[torch.Tensor], int], change: str) -> None:
    weight = torch.randn(64, 32, 3, 3, generator=torch.Generator().manual_seed(0))
    before = summed(weight)
    CHANGES[change](weight)
    assert summed(weight) != before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_storage_may_still_be_resized(layout: str) -> None:
    tensor = LAYOUTS[layout]()
    checksum(tensor)
    tensor.untyped_storage().resize_(0)  # as FSDP does with weights that it holds elsewhere
    assert tensor.untyped_storage().nbytes() == 0
