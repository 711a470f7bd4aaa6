"""Models in bfloat16 and in channels-last layout: one map over their own inference.

Of a pass of a few milliseconds the steps around it are a large part, whoever takes them: beside each figure stands that
of the same map by hand, without any check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from benchmarks.by_hand import by_hand
from benchmarks.figures import Figure, attempted
from benchmarks.networks import Network, draw, networks_named
from benchmarks.one_map import over_plain
from benchmarks.ours import NAME, mapped, plain
from benchmarks.setup import Setup
from benchmarks.timing import Contender, interleaved

KIND = "Other precision and layout: one map, last layer, over the model's own plain pass"
LEAST = "Other precision and layout: the same map by hand, without any check, over the same pass"
MAPPED: dict[str, Callable[[nn.Module, str], Contender]] = {KIND: mapped, LEAST: by_hand}
KINDS = ("bfloat16", "channels-last")
NETWORKS = ("resnet50", "mobilenet_v3_small")
SECONDS = 6.0


def figures(setup: Setup) -> Iterator[Figure]:
    """Measure a long and a short pass in each."""
    for device in setup.devices:
        for network in networks_named([NETWORKS[-1]] if setup.quick else list(NETWORKS)):
            for kind in KINDS:
                for title in MAPPED:
                    blank = Figure(title, f"{network.name}, {kind}", device=device, network=network.name, batch=1)
                    yield attempted(blank, partial(_measured, setup, network, kind))


def _as(kind: str, model: nn.Module) -> nn.Module:
    if kind == "bfloat16":
        return model.to(torch.bfloat16)
    return model.to(memory_format=torch.channels_last)


def _measured(setup: Setup, network: Network, kind: str, blank: Figure) -> Figure:
    model = _as(kind, network.model().to(blank.device))
    dtype = next(model.parameters()).dtype
    inputs = draw(1, blank.device, dtype)

    def in_layout() -> torch.Tensor:
        given = inputs()
        return given.to(memory_format=torch.channels_last) if kind == "channels-last" else given

    contenders = {"plain": plain(model), NAME: MAPPED[blank.kind](model, network.last)}
    samples = interleaved(contenders, in_layout, setup.effort, SECONDS, blank.device)
    found = over_plain(blank, samples)
    return found if blank.kind == KIND else replace(found, limit=None)
