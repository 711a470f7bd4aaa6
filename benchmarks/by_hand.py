"""Grad-CAM++ in plain torch, in the fewest steps and without a single check: the least that any library can take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def by_hand(model: nn.Module, layer: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what maps the predicted class of one image, (1, h, w).

    No gradients before the layer, one backward pass from the score to it, and the formula as in
    `pytest_cam.engine.methods.gradcam_plus_plus`, less the care that it takes near its pole. The model is taken to be
    in eval mode, the output to have a grid, and everything to be finite.

    Args:
        model: The classifier.
        layer: The name of a layer whose output is (1, C, h, w).
    """
    module = model.get_submodule(layer)

    def run(given: torch.Tensor) -> torch.Tensor:
        before, kept = torch.inference_mode(), []

        def cut(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
            before.__exit__(None, None, None)
            kept.append(output.clone().requires_grad_())
            return kept[0].clone()

        handle = module.register_forward_hook(cut)
        before.__enter__()
        scores = model(given)
        handle.remove()
        (gradients,) = torch.autograd.grad(scores[0, int(scores.argmax())], kept)
        activations = kept[0].detach()
        positive = gradients.relu()
        terms = positive / (positive * activations.sum(dim=(2, 3), keepdim=True) + 2)
        return (terms.sum(dim=(2, 3), keepdim=True) * activations).sum(dim=1).relu()

    return run
