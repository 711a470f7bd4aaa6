"""The control: a map that knows nothing of the model."""

from __future__ import annotations

import torch


def random_map(activations: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return uniform noise from 0 to 1 on the layer's grid.

    A check that this passes says nothing of the model, and a method that measures no better has found nothing.

    Args:
        activations: A, (B, C, h, w), of which only the grid is used.
        generator: Where the noise comes from, on the CPU.

    Returns:
        The maps (B, h, w), >= 0, not normalised.
    """
    batch, _, height, width = activations.shape
    noise = torch.rand(batch, height, width, generator=generator, device="cpu", dtype=torch.float32)
    return noise.to(activations.dtype).to(activations.device)
