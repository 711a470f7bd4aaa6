"""Networks of torchvision with random weights, and activations and gradients taken from them by plain hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchvision
from torch import nn

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
            torch.autograd.grad(score(model(pixels)[0]), pixels)
        finally:
            handle.remove()
        return seen["activations"][0].double().numpy(), seen["gradients"][0].double().numpy()

    return capture
