"""The least that a map at an inner layer can cost: the exact FLOP bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@contextmanager
def _parameters_have_gradients(model: nn.Module, wanted: bool) -> Iterator[None]:
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(wanted)
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def flop_bound(model: nn.Module, given: torch.Tensor, layer: str) -> float:
    """Return (F + T) / F, the least time of a map over that of a plain pass, if time went by FLOPs.

    F are the FLOPs of the forward pass. T are those of the gradient of the score with respect to the layer's output:
    one backward pass through the tail after the layer, that computes gradients of inputs and none of parameters. A
    gradient method needs both and nothing else that counts, so nothing that computes the same by the same operators
    is faster than plain time * (F + T) / F, but for what inference mode or fused kernels save.

    Both are counted by torch's `FlopCounterMode`, which knows convolutions, matrix products and attention; what it
    does not know (normalisations, activations, pooling) is a small part of a pass. Attention runs by plain matrix
    products while it counts, since it does not know all of the fused kernels.

    Args:
        model: A classifier that returns (B, K) scores, in eval mode.
        given: The batch (B, C, H, W).
        layer: A dotted name as in `model.named_modules()`.

    Returns:
        A ratio from 1 (nothing after the layer) to about 2 (everything).
    """
    leaves: list[torch.Tensor] = []

    def cut(_: nn.Module, __: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[0].clone()  # what comes after the layer may write to it in place

    # Where no parameter has a gradient, attention of torch's own layers takes a path that is not counted.
    with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        with _parameters_have_gradients(model, True), FlopCounterMode(display=False) as forward:
            model(given)
        handle = model.get_submodule(layer).register_forward_hook(cut)
        try:
            with _parameters_have_gradients(model, False):
                score = model(given).max(dim=1).values.sum()
                with FlopCounterMode(display=False) as backward:
                    torch.autograd.grad(score, leaves)
        finally:
            handle.remove()
    total, tail = int(forward.get_total_flops()), int(backward.get_total_flops())
    return (total + tail) / total
