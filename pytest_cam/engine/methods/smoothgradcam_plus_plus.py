"""Smooth Grad-CAM++: Omeiza et al., arXiv 1908.01224."""

from __future__ import annotations

import torch

from pytest_cam.engine.methods.option_values import from_zero, whole
from pytest_cam.engine.methods.precision import widest
from pytest_cam.engine.methods.resources import Traces
from pytest_cam.errors import is_ours

__tracebackhide__ = is_ours


def smoothgradcam_plus_plus(
    activations: torch.Tensor,
    inputs: torch.Tensor,
    trace_inputs: Traces,
    generator: torch.Generator,
    *,
    samples: int = 8,
    noise: float = 0.15,
) -> torch.Tensor:
    """Return relu(sum_k w_k A_k) with w_k = sum_ij a_ij relu(D1_ij), from gradients of noisy copies of the input.

    D1, D2 and D3 are the means of G, G^2 and G^3 over the copies, and a_ij = D2_ij / (2 D2_ij + sum_ab A_ab D3_ij),
    with A of the clean input. The paper prints D1 in the numerator; with D2 a single copy without noise gives
    Grad-CAM++, which the method means to smooth. As in Grad-CAM++ the derivatives are those of exp(score), without its
    factor.

    Powers are taken of G divided by the largest |G| of its place: the largest is then 1, so nothing over- or
    underflows, and no epsilon is needed. A place where the denominator vanishes has no value in the formula, and counts
    nothing.

    Args:
        activations: A of one image, (1, C, h, w).
        inputs: The image, (1, C, H, W).
        trace_inputs: From how many inputs and what makes them to their activations and gradients, (count, C, h, w).
        generator: Where the noise comes from, on the CPU.
        samples: The number of noisy copies.
        noise: The standard deviation of the noise, as a share of the input's range, largest less smallest value.

    Returns:
        The map (1, h, w), >= 0, not normalised.

    Raises:
        MethodError: An option has a value that it cannot have.
    """
    count = whole("smoothgradcam++", "samples", samples)
    deviation = from_zero("smoothgradcam++", "noise", noise) * float(inputs.max() - inputs.min())
    # A seed a copy: a copy is the same in whatever batch it is made, and however often.
    seeds = torch.randint(2**62, (count,), generator=generator, device="cpu").tolist()

    def make(start: int, stop: int) -> torch.Tensor:
        drawn = [_noise(inputs.shape[1:], seed) for seed in seeds[start:stop]]
        return inputs + deviation * torch.stack(drawn).to(inputs)

    gradients = trace_inputs(count, make)[1].to(activations.device, widest(activations))
    weights = _weights(gradients, activations.sum(dim=(2, 3), keepdim=True, dtype=gradients.dtype))
    return (weights.to(activations.dtype) * activations).sum(dim=1).relu()


def _noise(shape: torch.Size, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, device="cpu", dtype=torch.float32)


def _weights(gradients: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Return w, (1, C, 1, 1), for gradients (count, C, h, w) and the sums of the activations (1, C, 1, 1)."""
    largest = gradients.abs().amax(dim=0, keepdim=True)
    shares = torch.where(largest == 0, 0.0, gradients / largest)
    square = shares.square().mean(dim=0, keepdim=True)
    cube = shares.pow(3).mean(dim=0, keepdim=True)
    denominator = 2 * square + total * largest * cube
    alpha = torch.where(denominator == 0, 0.0, square / denominator)
    return (alpha * largest * shares.mean(dim=0, keepdim=True).relu()).sum(dim=(2, 3), keepdim=True)
