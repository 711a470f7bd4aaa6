"""Networks of torchvision with random weights, and activations and gradients taken from them by plain hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchvision
from torch import nn

from pytest_cam.engine.model.module_tree import ModuleTree
from pytest_cam.engine.passes.in_one_thread import pointwise_by_onednn

Array = npt.NDArray[np.float64]
Score = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    # Networks this small gain nothing from threads, and wait for one another on a machine that does other work.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def _network(name: str) -> nn.Module:
    torch.manual_seed(20)
    model: nn.Module = getattr(torchvision.models, name)(weights=None)
    # Fresh statistics let the signal fade to 1e-9 on its way through a deep network; these are those of real inputs.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(torch.randn(6, 3, 96, 96))
    return model.eval()


@pytest.fixture(scope="session")
def network() -> Callable[[str], nn.Module]:
    """A network by its name in torchvision, the same one for all tests."""
    return _network


@pytest.fixture(scope="session")
def picture() -> torch.Tensor:
    return torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(21))


@pytest.fixture(scope="session")
def captured() -> Callable[[nn.Module, torch.Tensor, str, Score], tuple[Array, Array]]:
    """Return A and G of a layer, (C, h, w) float64, by a whole backward pass through the unchanged network."""

    def capture(model: nn.Module, picture: torch.Tensor, layer: str, score: Score) -> tuple[Array, Array]:
        seen: dict[str, torch.Tensor] = {}

        def keep(_: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen["activations"] = output.detach().clone()
            # A hook on a tensor gets the gradient of the value it has now, whatever is done to it in place later.
            output.register_hook(lambda gradient: seen.update(gradients=gradient.clone()))

        pixels = picture.clone().requires_grad_()
        handle = model.get_submodule(layer).register_forward_hook(keep)
        try:
            # By the same kernels: what they round otherwise, Grad-CAM++ enlarges 300 times near its pole.
            with pointwise_by_onednn(ModuleTree.of(model)):
                torch.autograd.grad(score(model(pixels)[0]), pixels)
        finally:
            handle.remove()
        return seen["activations"][0].double().numpy(), seen["gradients"][0].double().numpy()

    return capture


class Split(nn.Module):
    """Five classes, float64, in three parts: the last one alone gives the scores of a changed output of `layer`.

    Attributes:
        layer: What is explained: 8 channels, >= 0 unless `signed`, on the input's grid divided by `stride`.
    """

    def __init__(self, stride: int, signed: bool, bend: type[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, stride=stride)
        self.layer = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.Identity() if signed else nn.ReLU())
        self.head = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1), bend(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.layer(self.stem(images)))
        return scores


@dataclass(frozen=True)
class Traced:
    """What a method may ask for, of one image and one class, by plain autograd."""

    network: Split
    image: torch.Tensor
    target: int
    activations: torch.Tensor
    gradients: torch.Tensor
    curvature: torch.Tensor
    logits: torch.Tensor

    @property
    def score(self) -> float:
        return float(self.logits[0, self.target])

    def score_inputs(self, count: int, make: Callable[[int, int], torch.Tensor]) -> torch.Tensor:
        with torch.no_grad():
            scores: torch.Tensor = self.network(make(0, count))[:, self.target]
        return scores

    def score_activations(self, count: int, make: Callable[[int, int], torch.Tensor]) -> torch.Tensor:
        with torch.no_grad():
            scores: torch.Tensor = self.network.head(make(0, count))[:, self.target]
        return scores

    def class_gradients(self, weights: torch.Tensor) -> torch.Tensor:
        leaf = self.activations.clone().requires_grad_()
        return torch.autograd.grad((self.network.head(leaf) * weights).sum(), leaf)[0]


@pytest.fixture(scope="session")
def traced() -> Callable[..., Traced]:
    """Return a small network with an image and all that the methods ask for.

    The predicted class is explained, and its bias can be chosen so that its logit is above all others or below zero.
    """

    def trace(
        stride: int = 1, signed: bool = False, bend: type[nn.Module] = nn.ReLU, bias: float = 0.0, scale: float = 1.0
    ) -> Traced:
        torch.manual_seed(22)
        network = Split(stride, signed, bend).double().eval()
        image = torch.randn(1, 3, 12, 12, dtype=torch.float64)
        with torch.no_grad():
            # Logits of a fresh network lie within a tenth of each other; these are as far apart as those of a real one.
            network.head[-1].weight *= 10 * scale
            network.head[-1].bias += bias
            activations = network.layer(network.stem(image))
        leaf = activations.clone().requires_grad_()
        logits = network.head(leaf)
        target = int(logits.argmax())
        (gradients,) = torch.autograd.grad(logits[0, target], leaf, create_graph=True)
        (curvature,) = torch.autograd.grad(gradients, leaf, activations)
        return Traced(network, image, target, activations, gradients.detach(), curvature, logits.detach())

    return trace
