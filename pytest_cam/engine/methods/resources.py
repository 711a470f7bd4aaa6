"""What a method may ask the engine for beside tensors, as types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch

# Versions `start` to `stop` of an input or of a layer's output. Asked twice for the same ones, it must give the same.
Make: TypeAlias = Callable[[int, int], torch.Tensor]
# From how many versions there are, and what makes them, to the explained score of each, (count,), on the CPU.
Scores: TypeAlias = Callable[[int, Make], torch.Tensor]
# The same to the activations and the gradients of each, (count, C, h, w).
Traces: TypeAlias = Callable[[int, Make], tuple[torch.Tensor, torch.Tensor]]
# From weights (1, K) to d(sum weights * logits) / dA, (1, C, h, w).
ClassGradients: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
