"""Where the activations lie in a layer's output: (B, C, h, w) from NCHW, NHWC and token sequences.

This is the one place that knows layouts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from pytest_cam.errors import LayerError, is_ours, kind_of

__tracebackhide__ = is_ours

Reshape: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
Grid: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """How a layer's output reads as (B, C, h, w).

    Attributes:
        kind: "NCHW", "NHWC", "tokens" (B, prefix + h * w + suffix, C), or "reshape" by the user's callable.
        grid: (h, w).
        prefix: How many tokens come before those of the patches: class, distillation and register tokens.
        suffix: How many come after them: those that a detector reads.
        reshape: The user's callable.
    """

    kind: str
    grid: Grid
    prefix: int = 0
    suffix: int = 0
    reshape: Reshape | None = None

    def __str__(self) -> str:
        """Return the reading in words."""
        cells = f"{self.grid[0]} x {self.grid[1]}"
        if self.kind != "tokens":
            return f"{self.kind}, {cells}"
        before = {0: "", 1: ", 1 token before them"}.get(self.prefix, f", {self.prefix} tokens before them")
        return f"tokens, {cells}{before}{f', {self.suffix} after' if self.suffix else ''}"

    def on_grid(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the layer's shape as (B, C, h, w)."""
        if self.reshape is not None:
            return self.reshape(tensor)  # which made (B, C, h, w) when the layout was read
        if self.kind == "NHWC":
            return tensor.permute(0, 3, 1, 2)
        if self.kind == "tokens":
            patches = tensor[:, self.prefix : tensor.shape[1] - self.suffix].transpose(1, 2)
            return patches.reshape(*patches.shape[:2], *self.grid)
        return tensor

    def off_grid(self, cells: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Return what lies on the grid as it lies in the layer's output: the way back from `on_grid`.

        Args:
            cells: (n, C, h, w).
            output: The layer's output for one image, (1, ...), which gives the tokens before and after the patches.

        Raises:
            LayerError: The layout is a reshape of the user's, whose way back is not known.
        """
        if self.reshape is not None:
            raise LayerError(
                "this method changes the layer's output, and with reshape=<callable> the way back from (B, C, h, w) to "
                "the output is not known. Take a layer whose output reads without reshape, or another method"
            )
        if self.kind == "NHWC":
            return cells.permute(0, 2, 3, 1)
        if self.kind == "tokens":
            around = output.expand(len(cells), -1, -1)
            before, after = around[:, : self.prefix], around[:, around.shape[1] - self.suffix :]
            return torch.cat([before, cells.flatten(2).transpose(1, 2), after], dim=1)
        return cells


def reshaped(reshape: Reshape, tensor: torch.Tensor, batch: int) -> torch.Tensor:
    """Return what a callable of the user made of a layer's output.

    Raises:
        LayerError: It is no tensor (B, C, h, w) with a grid larger than 1 x 1.
    """
    result = reshape(tensor)
    given = f"a tensor {tuple(result.shape)}" if isinstance(result, torch.Tensor) else kind_of(result)
    if not isinstance(result, torch.Tensor) or result.ndim != 4 or result.shape[0] != batch:
        raise LayerError(
            f"reshape made {given} of the layer's output {tuple(tensor.shape)}; accepted: a tensor (B, C, h, w), "
            f"here ({batch}, C, h, w)"
        )
    if result.shape[2] * result.shape[3] < 2:
        raise LayerError(
            f"reshape made {given} of the layer's output {tuple(tensor.shape)}; its grid must be larger than 1 x 1"
        )
    return result
