"""Score-CAM: Wang et al., arXiv 1910.01279, algorithm 1."""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

from pytest_cam.engine.methods.resources import Scores
from pytest_cam.errors import is_ours

__tracebackhide__ = is_ours


def scorecam(activations: torch.Tensor, inputs: torch.Tensor, score_inputs: Scores) -> torch.Tensor:
    """Return relu(sum_k w_k A_k), w being the softmax over the channels of the score of the input under each as a mask.

    A mask is the channel upsampled to the input, bilinear with align_corners=False, and then scaled to 0 at its
    smallest and 1 at its largest value over the image. (pytorch-grad-cam upsamples with align_corners=True; torchcam
    scales first, so that its masks need not reach 0 and 1.) The paper takes from each score that of an input of zeros;
    a softmax does not change by what is taken from all alike, so that is left out. A constant channel gives no mask and
    counts nothing.

    Args:
        activations: A of one image, (1, C, h, w).
        inputs: The image, (1, C, H, W).
        score_inputs: From how many inputs and what makes them to the score of each, (count,).

    Returns:
        The map (1, h, w), >= 0, not normalised.
    """
    # Less its smallest value a constant channel is exactly zero, and stays so when it is upsampled.
    raised = activations[0] - activations[0].amin(dim=(1, 2), keepdim=True)
    varying = raised.amax(dim=(1, 2)).nonzero().flatten()
    if not len(varying):
        return torch.zeros_like(activations[:, 0])
    size = (int(inputs.shape[2]), int(inputs.shape[3]))

    def make(start: int, stop: int) -> torch.Tensor:
        channels = raised[varying[start:stop]].unsqueeze(1)
        return inputs * _masks(channels, size).to(inputs)

    weights = score_inputs(len(varying), make).double().softmax(dim=0).to(activations.dtype).to(activations.device)
    return torch.einsum("k,khw->hw", weights, activations[0, varying]).relu().unsqueeze(0)


def _masks(channels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return channels (n, 1, h, w) as masks (n, 1, H, W) from 0 to 1; zeros where upsampling leaves a constant."""
    masks = interpolate(channels, size=size, mode="bilinear", align_corners=False)
    masks = masks - masks.amin(dim=(2, 3), keepdim=True)
    largest = masks.amax(dim=(2, 3), keepdim=True)
    return torch.where(largest == 0, 0.0, masks / largest)
