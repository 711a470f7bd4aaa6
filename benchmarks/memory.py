"""Peak memory of one call, over that of inference.

On the CPU it is exact: torch's profiler notes each allocation and release of torch's CPU allocator, in order, and the
peak is the largest sum of them. (What the process holds as the system sees it is not: the allocator keeps what was
released. Scratch space of oneDNN's kernels is not torch's and not counted, for anyone.) On a GPU it is the caching
allocator's own peak.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.figures import Figure, attempted
from benchmarks.networks import Network, draw, networks_named
from benchmarks.ours import NAME, mapped, plain
from benchmarks.peers import PEERS
from benchmarks.setup import Setup

KIND = "Memory of one map above inference, last layer"
LIMIT = 5.0
MIB = 2**20


def allocated_peak(run: Callable[[], object], device: str = "cpu") -> int:
    """Return the most bytes that a call holds at once of what it allocates itself.

    Args:
        run: The call; run it before, so that what it keeps for later calls is there.
        device: "cpu" or "cuda".
    """
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated() - before)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return peak_of(events)


def peak_of(events: list[dict[str, Any]]) -> int:
    """Return the largest sum of bytes over the allocations (> 0) and releases (< 0) of a trace, in order of time."""
    held = peak = 0
    for event in sorted((event for event in events if event.get("name") == "[memory]"), key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def figures(setup: Setup) -> Iterator[Figure]:
    """Measure resnet50 at the largest batch size: pytest-cam, and the peers beside."""
    (network,) = networks_named(["resnet18" if setup.quick else "resnet50"])
    batch = max(setup.batches)
    for device in setup.devices:
        for name in (NAME, *PEERS):
            blank = Figure(
                KIND,
                f"{network.name}, {name}",
                limit=LIMIT if name == NAME else None,
                unit="%",
                device=device,
                network=network.name,
                batch=batch,
            )
            yield attempted(blank, partial(_measured, network, name))


def _measured(network: Network, name: str, blank: Figure) -> Figure:
    model = network.model().to(blank.device)
    given = draw(blank.batch, blank.device)()
    inference = plain(model)
    inference(given)
    base = allocated_peak(partial(inference, given), blank.device)
    call = mapped(model, network.last) if name == NAME else PEERS[name](network, model, network.last)
    if name == NAME:
        call(given)  # what it keeps of a model is made once
    above = allocated_peak(partial(call, given), blank.device) - base
    held = base + bytes_of(model) + given.nbytes
    return replace(
        blank,
        value=100 * above / held,
        base=f"{held / MIB:.0f} MiB: weights, input and a pass's own {base / MIB:.0f}",
        note=f"{above / MIB:+.1f} MiB, {above / base:+.1%} of a pass's own",
        rounds=1,
    )


def bytes_of(model: nn.Module) -> int:
    """Return how many bytes a model's parameters and buffers take."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
