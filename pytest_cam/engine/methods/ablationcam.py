"""Ablation-CAM: Desai and Ramaswamy, WACV 2020, equations 3 and 4."""

from __future__ import annotations

import torch

from pytest_cam.engine.methods.resources import Scores
from pytest_cam.errors import is_ours

__tracebackhide__ = is_ours


def ablationcam(activations: torch.Tensor, score: float, score_activations: Scores) -> torch.Tensor:
    """Return relu(sum_k w_k A_k) with w_k = (y - y_k) / |y|, y_k being the score with channel k set to zero.

    The paper divides by y and means a share of a positive score. A logit may be negative, and to divide by it would
    turn the map over: channels that raise the score would count against it. By |y| the weight has the sign of the drop,
    and the map keeps its shape when a constant is added to the logits. A score of exactly zero has no shares; there the
    drops themselves are the weights, which gives the same shape again. A channel of zeros is not tried: it can drop
    nothing.

    Args:
        activations: A of one image, (1, C, h, w).
        score: The explained score y.
        score_activations: From how many versions of A and what makes them to the score of each, (count,).

    Returns:
        The map (1, h, w), >= 0, not normalised.
    """
    alive = activations[0].abs().amax(dim=(1, 2)).nonzero().flatten()
    if not len(alive):
        return torch.zeros_like(activations[:, 0])

    def make(start: int, stop: int) -> torch.Tensor:
        versions = activations.repeat(stop - start, 1, 1, 1)
        versions[torch.arange(stop - start, device=versions.device), alive[start:stop]] = 0
        return versions

    drops = score - score_activations(len(alive), make).double()
    weights = (drops / (abs(score) if score != 0 else 1.0)).to(activations.dtype).to(activations.device)
    return torch.einsum("k,khw->hw", weights, activations[0, alive]).relu().unsqueeze(0)
