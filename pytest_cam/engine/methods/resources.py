"""What a method may ask the engine for beside tensors, as types, and a check of what it passes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch

from pytest_cam.errors import MethodError, is_ours, kind_of

__tracebackhide__ = is_ours

# Versions `start` to `stop` of an input or of a layer's output. Asked twice for the same ones, it must give the same.
Make: TypeAlias = Callable[[int, int], torch.Tensor]
# From how many versions there are, and what makes them, to the explained score of each, (count,), on the CPU.
Scores: TypeAlias = Callable[[int, Make], torch.Tensor]
# The same to the activations and the gradients of each, (count, C, h, w).
Traces: TypeAlias = Callable[[int, Make], tuple[torch.Tensor, torch.Tensor]]
# From weights (1, K) to d(sum weights * logits) / dA, (1, C, h, w).
ClassGradients: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


def checked(make: Make, name: str, verb: str) -> Make:
    """Return the same function, which checks what it makes.

    Args:
        make: As a method passes it on.
        name: The method's name.
        verb: What the method calls with it.

    Raises:
        MethodError: It makes something else than a tensor of as many versions as are asked for; when it is called.
    """

    def made(start: int, stop: int) -> torch.Tensor:
        versions: object = make(start, stop)
        if isinstance(versions, torch.Tensor) and versions.shape[:1] == (stop - start,):
            return versions
        given = f"a tensor {tuple(versions.shape)}" if isinstance(versions, torch.Tensor) else kind_of(versions)
        raise MethodError(
            f"method {name!r} calls {verb} with a function that made {given} for ({start}, {stop}); accepted: a tensor "
            f"({stop - start}, ...) of that many versions"
        )

    return made
