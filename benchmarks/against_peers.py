"""Grad-CAM at the last layer: pytest-cam and its three peers, in the same rounds."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from benchmarks.figures import Figure, UnavailableError, attempted
from benchmarks.memory import allocated_peak
from benchmarks.networks import Network, draw
from benchmarks.ours import NAME, mapped, plain
from benchmarks.peers import PEERS
from benchmarks.setup import Setup
from benchmarks.timing import Contender, Samples, interleaved

KIND = "Grad-CAM at the last layer, over the fastest peer"
SECONDS = 12.0


def figures(setup: Setup) -> Iterator[Figure]:
    """Measure each network at each batch size."""
    for device in setup.devices:
        for batch in setup.batches:
            for network in setup.networks:
                blank = Figure(
                    KIND, network.name, limit=1.0, below=True, device=device, network=network.name, batch=batch
                )
                yield attempted(blank, partial(_measured, setup, network))
                gc.collect()  # what peers keep of their last graph


def _measured(setup: Setup, network: Network, blank: Figure) -> Figure:
    contenders, missing = _contenders(network, blank.device)
    peers = [name for name in contenders if name in PEERS]
    if not peers:
        raise UnavailableError("; ".join(missing))
    inputs = draw(blank.batch, blank.device)
    samples = interleaved(contenders, inputs, setup.effort, SECONDS, blank.device)
    fastest = min(peers, key=samples.milliseconds)
    value, interval = samples.ratio(NAME, fastest), samples.interval(NAME, fastest)
    excused = ""
    if value >= 1 and interval[0] < 1:
        given = inputs()
        mine, other = (allocated_peak(partial(contenders[name], given), blank.device) for name in (NAME, fastest))
        if mine < other:
            excused = f"within noise, with {mine / 2**20:.0f} MiB where {fastest} takes {other / 2**20:.0f}"
    return replace(
        blank,
        value=value,
        interval=interval,
        excused=excused,
        base=f"{fastest}, {samples.milliseconds(fastest):.1f} ms",
        note="; ".join([excused, *missing] if excused else missing),
        rounds=samples.rounds,
        over_pass=_over_pass(samples, [NAME, *peers]),
    )


def _contenders(network: Network, device: str) -> tuple[Mapping[str, Contender], list[str]]:
    """Return the contenders, each with a model of its own, and why some peers are missing."""
    model = network.model().to(device)
    contenders: dict[str, Contender] = {
        "plain": plain(model),
        NAME: mapped(copy.deepcopy(model), network.last, "gradcam"),
    }
    missing = []
    for name, make in PEERS.items():
        try:
            contenders[name] = make(network, copy.deepcopy(model), network.last)
        except UnavailableError as reason:
            missing.append(f"no {name}: {reason}")
    return contenders, missing


def _over_pass(samples: Samples, names: list[str]) -> dict[str, float]:
    return {name: samples.ratio(name, "plain") for name in names}
