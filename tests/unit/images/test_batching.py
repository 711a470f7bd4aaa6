"""How a batch is put together."""

from __future__ import annotations

import pytest
import torch

from pytest_cam.images.batching import as_one

BATCHES = {
    "contiguous": torch.randn(4, 3, 5, 6),
    "channels last": torch.randn(4, 3, 5, 6).contiguous(memory_format=torch.channels_last),
    "every second": torch.randn(8, 3, 5, 6)[1::2],
    "transposed": torch.randn(4, 3, 6, 5).mT,
}


@pytest.mark.parametrize("name", BATCHES)
def test_the_rows_of_a_batch_are_that_batch_without_a_copy(name: str) -> None:
    batch = BATCHES[name]
    found = as_one(list(batch))
    assert torch.equal(found, batch)
    assert (found.data_ptr(), found.stride()) == (batch.data_ptr(), batch.stride())


def test_other_tensors_are_stacked() -> None:
    one = torch.randn(3, 5, 6)
    batch = torch.randn(4, 3, 5, 6)
    for tensors in ([one, one], [one, one + 1], [batch[2], batch[1], batch[0]], [batch[0], batch[1], batch[3]]):
        assert torch.equal(as_one(tensors), torch.stack(tensors))


def test_row_that_is_turned_in_its_place_goes_in_as_it_is() -> None:
    rows = torch.arange(8.0).view(2, 1, 2, 2)
    assert as_one([rows[0], rows[1].transpose(1, 2)]).tolist() == [[[[0, 1], [2, 3]]], [[[4, 6], [5, 7]]]]
