"""Running a model on many versions of one input, in batches that fit into memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from pytest_cam.engine.batches.line_below import LineBelow
from pytest_cam.engine.batches.memory import free_bytes, is_shortage
from pytest_cam.engine.methods.resources import Make
from pytest_cam.errors import MemoryShortError, OutputError, is_ours
from pytest_cam.running import RUNNING, is_in_ci

__tracebackhide__ = is_ours

# From samples (n, ...) to their values (n,) or (n, ...).
RunBatch: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

# The share of free memory that one batch may take by the caller's estimate, which leaves out what kernels need.
_SHARE = 0.25

# On a CPU larger batches are no faster once a batch keeps the cores busy, and slower once it leaves the caches. A GPU
# is busy only with more.
_LEAST_USEFUL = {"cpu": 8, "cuda": 64}
_USEFUL_BYTES = {"cpu": 64 * 2**20, "cuda": 2**30}
_MOST = 512

# Seconds before progress is shown.
_PATIENCE = 2.0


def in_batches(
    run: RunBatch,
    make: Make,
    count: int,
    *,
    what: str,
    unit_bytes: int,
    device: torch.device,
) -> torch.Tensor:
    """Return what a function gives for many samples, run in batches.

    Where memory runs out the batch is halved, and work goes on from where it was. Work of more than two seconds shows
    its progress where stderr is a terminal; where pytest captures that, on the line below the one that pytest writes to
    a terminal, but for workers of pytest-xdist, Windows and TERM=dumb. Where the environment variable CI is set it is
    not shown.

    Args:
        run: From samples (n, ...) to their values (n,) or (n, ...).
        make: From `start` and `stop` to the samples with these indices, (stop - start, ...).
        count: How many samples there are, at least 1.
        what: What they are, in the plural, for the progress bar and for errors: "masked inputs".
        unit_bytes: About how many bytes one sample takes while it is run.
        device: Where it is run.

    Returns:
        The values in the samples' order, (count,) or (count, ...), on the CPU, in float32 or better.

    Raises:
        MemoryShortError: Not even one sample fits.
        OutputError: `run` gives another number of values than there are samples in a batch.
    """
    size = batch_size(count, unit_bytes, device)
    done: list[torch.Tensor] = []
    start = 0
    with _progress(count, what) as advance:
        while start < count:
            stop = min(start + size, count)
            values = _values(run, make, start, stop, what, unit_bytes)
            if values is None:
                size = max(1, (stop - start) // 2)
                # What other batches have left in pieces too small for the next one.
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            done.append(values)
            advance(stop - start)
            start = stop
    return torch.cat(done)


def batch_size(count: int, unit_bytes: int, device: torch.device) -> int:
    """Return how many samples to run at once: at least 1, at most `count`.

    Args:
        count: How many samples there are.
        unit_bytes: About how many bytes one sample takes while it is run.
        device: Where it is run.
    """
    unit = max(1, unit_bytes)
    kind = device.type if device.type in _USEFUL_BYTES else "cpu"
    useful = max(_LEAST_USEFUL[kind], _USEFUL_BYTES[kind] // unit)
    fitting = int(free_bytes(device) * _SHARE) // unit
    return max(1, min(count, useful, fitting, _MOST))


def _values(
    run: RunBatch,
    make: Make,
    start: int,
    stop: int,
    what: str,
    unit_bytes: int,
) -> torch.Tensor | None:
    """Return the values of one batch, or None where it does not fit into memory and a smaller one might."""
    number = stop - start
    try:
        values = run(make(start, stop))
        values = values.detach().to(dtype=torch.promote_types(values.dtype, torch.float32)).cpu()
    except Exception as error:
        if not is_shortage(error):
            raise
        if number == 1:
            raise _too_large(what, unit_bytes, error) from error
        return None
    if values.shape[:1] != (number,):
        raise OutputError(
            f"running {number} {what} at once gave a tensor {tuple(values.shape)}; accepted: a value for each, "
            f"({number},) or ({number}, ...). The model or the target mixes the images of a batch"
        )
    return values


def _too_large(what: str, unit_bytes: int, error: Exception) -> MemoryShortError:
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return MemoryShortError(
        f"memory ran out with one of the {what} at a time, which takes about {max(1, round(unit_bytes / 2**20))} MiB. "
        "Free memory (other processes, fewer xdist workers), take a smaller input or a later layer, or move the model "
        f"to a device with more memory, such as from a GPU to the CPU. What the allocator said: {said}"
    )


@contextmanager
def _progress(count: int, what: str) -> Iterator[Callable[[int], object]]:
    stream, columns = _terminal()
    if stream is None:
        yield lambda number: None
        return
    from tqdm import tqdm

    with tqdm(total=count, desc=what, delay=_PATIENCE, leave=False, file=stream, ncols=columns) as bar:
        yield bar.update


def _terminal() -> tuple[Any, int | None]:
    """Return the stream that progress is shown on, or None, and how many columns it has where it cannot be asked."""
    if is_in_ci():
        return None, None
    if sys.stderr is not None and sys.stderr.isatty():
        return sys.stderr, None
    if RUNNING.terminal is None or os.environ.get("TERM") == "dumb":
        return None, None
    below = LineBelow(*RUNNING.terminal)
    return below, below.columns
