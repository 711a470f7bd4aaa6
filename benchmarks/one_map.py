"""One map over a plain inference pass of the same network on the same input: last, middle and early layer.

`attend` and `attend_batch` with the default method, as users call them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.figures import Figure, attempted, geometric_mean
from benchmarks.flops import flop_bound
from benchmarks.networks import Network, draw
from benchmarks.ours import NAME, mapped, plain
from benchmarks.setup import Setup
from benchmarks.timing import Samples, interleaved

LAST = "One map, last layer, over a plain pass"
MIDDLE = "One map, middle layer, over the FLOP bound"
EARLY = "One map, early layer, over the FLOP bound"
MEAN = "geometric mean"

LIMIT, LIMIT_OF_SHORT, SHORT_MS = 1.10, 1.20, 20.0
LIMIT_OF_MEAN = 1.08
LIMIT_OVER_BOUND = 1.20
SECONDS = {"last": 50.0, "middle": 12.0, "early": 3.0}


def figures(setup: Setup) -> Iterator[Figure]:
    """Measure each network at each batch size, then the means over the networks."""
    for device in setup.devices:
        for batch in setup.batches:
            found = []
            for network in setup.networks:
                blank = Figure(LAST, network.name, device=device, network=network.name, batch=batch)
                found.append(attempted(blank, partial(_at_last, setup, network)))
                yield found[-1]
            yield _mean(found, batch, device)
    # What has no limit does not need to be waited for at each batch size.
    inner = (("middle", MIDDLE, LIMIT_OVER_BOUND, setup.batches), ("early", EARLY, None, setup.batches[:1]))
    for place, kind, limit, batches in inner:
        for device in setup.devices:
            for batch in batches:
                for network in setup.networks:
                    blank = Figure(kind, network.name, limit=limit, device=device, network=network.name, batch=batch)
                    yield attempted(blank, partial(_over_bound, setup, network, place))


def limit_for(milliseconds: float) -> float:
    """Return the limit of one map at a last layer, for a plain pass of that length."""
    return LIMIT if milliseconds >= SHORT_MS else LIMIT_OF_SHORT


def _at_last(setup: Setup, network: Network, blank: Figure) -> Figure:
    model = network.model().to(blank.device)
    contenders = {"plain": plain(model), NAME: mapped(model, network.last)}
    samples = interleaved(contenders, draw(blank.batch, blank.device), setup.effort, SECONDS["last"], blank.device)
    return replace(over_plain(blank, samples), over_pass={NAME: samples.ratio(NAME, "plain")})


def over_plain(blank: Figure, samples: Samples) -> Figure:
    """Return the figure of one map over a plain pass, with the limit that a pass of that length has."""
    passed = samples.milliseconds("plain")
    return replace(
        blank,
        value=samples.ratio(NAME, "plain"),
        limit=limit_for(passed),
        interval=samples.interval(NAME, "plain"),
        base=f"{passed:.1f} ms",
        rounds=samples.rounds,
    )


def _mean(found: list[Figure], batch: int, device: str) -> Figure:
    ratios = [figure.value for figure in found if figure.value is not None]
    blank = Figure(LAST, MEAN, limit=LIMIT_OF_MEAN, device=device, batch=batch)
    if not ratios:
        return replace(blank, skipped="no network was measured")
    return replace(blank, value=geometric_mean(ratios), base=f"{len(ratios)} networks")


def _over_bound(setup: Setup, network: Network, place: str, blank: Figure) -> Figure:
    model = network.model()
    bound = flop_bound(model, draw(1)(), network.layer(place))
    model.to(blank.device)
    contenders = {"plain": plain(model), NAME: mapped(model, network.layer(place))}
    samples = interleaved(contenders, draw(blank.batch, blank.device), setup.effort, SECONDS[place], blank.device)
    low, high = samples.interval(NAME, "plain")
    ratio = samples.ratio(NAME, "plain")
    return replace(
        blank,
        value=ratio / bound,
        interval=(low / bound, high / bound),
        base=f"{bound:.2f} passes of {samples.milliseconds('plain'):.1f} ms",
        note=f"{network.layer(place)}: {ratio:.2f} passes",
        rounds=samples.rounds,
    )
