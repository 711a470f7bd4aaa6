from __future__ import annotations

import torch
from torch import nn

from benchmarks.memory import allocated_peak, bytes_of, peak_of


def event(at: float, size: int) -> dict[str, object]:
    return {"name": "[memory]", "ts": at, "args": {"Bytes": size}}


def test_peak_is_the_largest_sum_in_order_of_time() -> None:
    # 100, then 150, then 50, then 120; what is no allocation does not count.
    events = [event(3.0, -100), event(1.0, 100), event(2.0, 50), event(4.0, 70), {"name": "aten::add", "ts": 1.5}]
    assert peak_of(events) == 150
    assert peak_of([]) == 0


def test_allocations_of_a_call_are_counted_to_the_byte() -> None:
    given = torch.ones(1000)

    def run() -> None:
        first = given + given  # 4000 bytes
        first = first.double()  # 8000, while the 4000 are still there
        first = first.half()  # 2000, while the 8000 are still there

    run()
    assert allocated_peak(run) == 12000


def test_bytes_of_a_model_are_those_of_parameters_and_buffers() -> None:
    # 3 * 2 weights, 2 biases, and of the normalisation 2 * 2 parameters, 2 * 2 statistics, and a counter in 8 bytes.
    assert bytes_of(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))) == 4 * (6 + 2 + 4 + 4) + 8
