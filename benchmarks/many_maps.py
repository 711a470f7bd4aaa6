"""Five gradient methods for ten classes of one image, over one plain pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from benchmarks.figures import Figure, attempted
from benchmarks.networks import Network, draw, networks_named
from benchmarks.ours import NAME, plain, require_methods
from benchmarks.peers import require
from benchmarks.setup import Setup
from benchmarks.timing import Effort, interleaved
from pytest_cam import attend

KIND = "Five methods for ten classes, over a plain pass"
LIMIT = 1.5
METHODS = ["gradcam", "gradcam++", "xgradcam", "hirescam", "layercam"]
CLASSES = list(range(10))
SECONDS = 8.0
SECONDS_OF_PEER = 15.0
# A round of grad-cam's fifty passes takes seconds, and its ratio is far from any limit.
ROUNDS_OF_PEER = 3


def figures(setup: Setup) -> Iterator[Figure]:
    """Measure resnet18 at layer4: pytest-cam, and grad-cam beside."""
    (network,) = networks_named(["resnet18"])
    for device in setup.devices:
        for name, limit, make in ((NAME, LIMIT, _ours), ("grad-cam", None, _grad_cam)):
            blank = Figure(KIND, f"resnet18, {name}", limit=limit, device=device, network="resnet18", batch=1)
            yield attempted(blank, partial(_measured, setup, network, make))


def _measured(
    setup: Setup, network: Network, make: Callable[[Network, str], Callable[[torch.Tensor], Any]], blank: Figure
) -> Figure:
    contenders = {"plain": plain(network.model().to(blank.device)), "maps": make(network, blank.device)}
    effort, seconds = setup.effort, SECONDS
    if make is _grad_cam:
        effort = Effort(effort.scale, min(effort.least, ROUNDS_OF_PEER), ROUNDS_OF_PEER, warm_up=1)
        seconds = SECONDS_OF_PEER
    samples = interleaved(contenders, draw(1, blank.device), effort, seconds, blank.device)
    return replace(
        blank,
        value=samples.ratio("maps", "plain"),
        interval=samples.interval("maps", "plain"),
        base=f"{samples.milliseconds('plain'):.1f} ms",
        rounds=samples.rounds,
    )


def _ours(network: Network, device: str) -> Callable[[torch.Tensor], Any]:
    require_methods(METHODS, CLASSES)
    model = network.model().to(device)
    verb: Callable[..., Any] = attend  # older versions take one method and one class
    return lambda given: verb(model, given, layer=network.last, method=METHODS, target=CLASSES)


def _grad_cam(network: Network, device: str) -> Callable[[torch.Tensor], Any]:
    library = require("pytorch_grad_cam", "grad-cam")
    aim = require("pytorch_grad_cam.utils.model_targets", "grad-cam").ClassifierOutputTarget
    model = network.model().to(device)
    layers = [model.get_submodule(network.last)]
    names = ("GradCAM", "GradCAMPlusPlus", "XGradCAM", "HiResCAM", "LayerCAM")
    kinds = [getattr(library, name) for name in names]

    def run(given: torch.Tensor) -> Any:
        maps = []
        for kind in kinds:
            # One object at a time: each places its hooks on the model, and fifty maps would pay for five pairs.
            with kind(model, layers) as extractor:
                maps.append([extractor(given, [aim(index)]) for index in CLASSES])
        return maps

    return run
