"""The three peers behind one interface, each in its best use.

The model is built once, and what a library keeps between images (its object, its hooks) is made once, outside of what
is timed. Each computes the map of the predicted class of each image; nothing is drawn. Each has a model of its own,
so that one's hooks do not slow down another's pass.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import nn

from benchmarks.figures import UnavailableError
from benchmarks.networks import Network

Call = Callable[[torch.Tensor], Any]


def grad_cam(network: Network, model: nn.Module, layer: str) -> Call:
    """Return grad-cam's Grad-CAM: its object, called without targets, explains the predicted class."""
    library = require("pytorch_grad_cam", "grad-cam")
    extractor = library.GradCAM(model, [model.get_submodule(layer)], reshape_transform=network.reshape)
    return lambda given: extractor(given, None)


def torchcam(network: Network, model: nn.Module, layer: str) -> Call:
    """Return torchcam's Grad-CAM: the user runs the model and hands its scores to the extractor."""
    library = require("torchcam.methods", "torchcam")
    extractor = library.GradCAM(model, target_layer=layer, reshape_transform=network.reshape)

    def run(given: torch.Tensor) -> Any:
        scores = model(given)
        return extractor(scores.argmax(dim=1).tolist(), scores)

    return run


def captum(network: Network, model: nn.Module, layer: str) -> Call:
    """Return captum's Grad-CAM of the largest score, so that the predicted class takes no pass of its own."""
    library = require("captum.attr", "captum")
    if network.reshape is not None:
        raise UnavailableError("captum takes no reshape function, so it cannot read tokens as a grid")
    extractor = library.LayerGradCam(lambda given: model(given).max(dim=1).values, model.get_submodule(layer))
    return lambda given: extractor.attribute(given, relu_attributions=True)


PEERS: dict[str, Callable[[Network, nn.Module, str], Call]] = {
    "grad-cam": grad_cam,
    "torchcam": torchcam,
    "captum": captum,
}


def require(module: str, package: str) -> ModuleType:
    """Import a module of a peer.

    Raises:
        UnavailableError: The package is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise UnavailableError(f"{package} is not installed ({error}); pip install -e '.[bench]'") from None


@contextlib.contextmanager
def without_progress() -> Iterator[None]:
    """Keep the progress bars that grad-cam draws off the terminal."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
