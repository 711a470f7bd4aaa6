"""Kept tensors stay as they are, whatever is done to what is handed out."""

from __future__ import annotations

import pytest
import torch

from pytest_cam.engine.replaying.lending import Lender


def test_batch_shares_memory_until_something_writes_to_it() -> None:
    kept, lender = torch.tensor([[1.0, 2.0]]), Lender()
    assert lender.lend(kept, 1000).stride() == (0, 1)
    assert not lender.notice_writes(thoroughly=True)
    lender.lend(kept, 1).add_(1)
    assert lender.notice_writes()
    assert kept.tolist() == [[1, 2]]
    lent = lender.lend(kept, 2)
    lent[0] = 0
    assert (lent.tolist(), kept.tolist()) == ([[0, 0], [1, 2]], [[1, 2]])
    assert not lender.notice_writes()


def test_what_is_written_behind_the_version_is_found_by_its_values() -> None:
    kept, lender = torch.tensor([[1.0, 2.0]]), Lender()
    lender.lend(kept, 1).data.add_(1)
    assert not lender.notice_writes()
    assert lender.notice_writes(thoroughly=True)
    assert lender.lend(kept, 1).tolist() == [[1, 2]]


def test_write_that_nobody_noticed_in_time_is_not_handed_out_again() -> None:
    kept, lender = torch.tensor([[1.0, 2.0]]), Lender()
    lender.lend(kept, 1).add_(1)
    assert lender.lend(kept, 1).tolist() == [[1, 2]]


@pytest.mark.parametrize("kept", [torch.tensor(3.0), torch.ones(2, 1)])
def test_tensor_of_no_single_image_is_handed_out_as_it_is(kept: torch.Tensor) -> None:
    assert torch.equal(Lender().lend(kept, 5), kept)
