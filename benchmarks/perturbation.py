"""Ablation-CAM and Score-CAM on resnet50, each over its peers.

On the CPU, after a warm-up of everybody with a plain pass, one round of Ablation-CAM, of which a map takes a peer
minutes, in which noise averages out, and five of Score-CAM, at half a minute each. On a GPU a map takes less than a
second, and everybody has a round that does not count and five that do. All run the whole method. Ablation-CAM is at
layer4, with its 2048 channels. Score-CAM is at layer1, with 256: there each library runs the whole network once for
each channel's mask, whatever the layer, so the ratio is that of layer4 to within the time of one pass, at an eighth of
the wait. Batches of masked inputs are those that each library takes by itself.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.figures import Figure, UnavailableError, attempted, median_interval
from benchmarks.networks import Network, draw, networks_named
from benchmarks.ours import NAME, plain, require_methods
from benchmarks.peers import require, without_progress
from benchmarks.setup import Setup
from benchmarks.timing import clock_for
from pytest_cam import attend

KIND = "Perturbation methods, over the fastest peer"
Call = Callable[[torch.Tensor], Any]


def figures(setup: Setup) -> Iterator[Figure]:
    """Measure both methods."""
    (network,) = networks_named(["resnet18" if setup.quick else "resnet50"])
    ablated = "layer1" if setup.quick else "layer4"
    cases: tuple[tuple[str, str, str, float, int, Mapping[str, Callable[[nn.Module, str], Call]]], ...] = (
        ("Ablation-CAM", "ablationcam", ablated, 0.01, 1, {"grad-cam": _ablation_of_grad_cam}),
        ("Score-CAM", "scorecam", "layer1", 1.0, 5, {"grad-cam": _score_of_grad_cam, "torchcam": _score_of_torchcam}),
    )
    for device in setup.devices:
        for title, method, layer, limit, rounds_on_cpu, peers in cases:
            blank = Figure(
                KIND, f"{title}, {network.name}, {layer}", limit=limit, device=device, network=network.name, batch=1
            )
            rounds = 5 if device == "cuda" else 1 if setup.quick else rounds_on_cpu
            yield attempted(blank, partial(_measured, network, method, layer, rounds, peers))


def _measured(
    network: Network,
    method: str,
    layer: str,
    rounds: int,
    peers: Mapping[str, Callable[[nn.Module, str], Call]],
    blank: Figure,
) -> Figure:
    require_methods(method)  # before minutes go to peers
    clock = clock_for(blank.device)
    given = draw(1, blank.device)()
    model = network.model().to(blank.device)
    calls: dict[str, Call] = {NAME: partial(_ours, model, layer, method)}
    missing = []
    for name, make in peers.items():
        try:
            calls[name] = make(network.model().to(blank.device), layer)
        except UnavailableError as reason:
            missing.append(f"no {name}: {reason}")
    if len(calls) == 1:
        raise UnavailableError("; ".join(missing))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + (blank.device == "cuda")):
        for name, call in calls.items():
            plain(model)(given)
            with without_progress():
                taken[name].append(clock(partial(call, given)))
    medians = {name: statistics.median(seconds[-rounds:]) for name, seconds in taken.items()}
    mine = medians.pop(NAME)
    fastest = taken[min(medians, key=medians.__getitem__)]
    ratios = [own / other for own, other in zip(taken[NAME][-rounds:], fastest[-rounds:], strict=True)]
    return replace(
        blank,
        value=statistics.median(ratios),
        interval=median_interval(ratios) if rounds > 1 else None,
        base=", ".join(f"{name} {seconds:.2f} s" for name, seconds in medians.items()),
        note="; ".join([f"{NAME} {mine:.2f} s", *missing]),
        rounds=rounds,
    )


def _ours(model: nn.Module, layer: str, method: str, given: torch.Tensor) -> Any:
    return attend(model, given, layer=layer, method=method)


def _ablation_of_grad_cam(model: nn.Module, layer: str) -> Call:
    extractor = require("pytorch_grad_cam", "grad-cam").AblationCAM(model, [model.get_submodule(layer)])
    return lambda given: extractor(given, None)


def _score_of_grad_cam(model: nn.Module, layer: str) -> Call:
    extractor = require("pytorch_grad_cam", "grad-cam").ScoreCAM(model, [model.get_submodule(layer)])
    return lambda given: extractor(given, None)


def _score_of_torchcam(model: nn.Module, layer: str) -> Call:
    extractor = require("torchcam.methods", "torchcam").ScoreCAM(model, target_layer=layer)

    def run(given: torch.Tensor) -> Any:
        with torch.inference_mode():
            scores = model(given)
        return extractor(scores.argmax(dim=1).tolist(), scores)

    return run
