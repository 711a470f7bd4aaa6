"""Where the activations lie in layers' outputs: found out from shapes, what modules are made of, and what they tell."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from functools import cached_property
from itertools import product
from typing import Any

import torch
from torch import nn

from pytest_cam.engine.reading.channel_axis import CHANNELS_FIRST, convolves, normalises_last_axis
from pytest_cam.engine.reading.layouts import Grid, Layout, Reshape, reshaped
from pytest_cam.errors import LayerError, is_ours

__tracebackhide__ = is_ours

# More tokens than this before the patches are taken for a sequence that has no grid.
_MOST_PREFIX_TOKENS = 16
# By how much the strides of two axes may differ.
_MOST_UNLIKE = 4


class Reader:
    """Reads the outputs of one model's layers for inputs of one size.

    Args:
        model: The model, which tells patch sizes and the number of prefix tokens.
        inputs: The batch (B, C, H, W).
        reshape: From a layer's output tensor to (B, C, h, w), in place of all that is inferred here.
        known: What layers of this model were read as before, by all that it depends on; None where that may change.
        settled: How the explained layer was read, which holds where its output reads in several ways.

    Attributes:
        batch: B.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: torch.Tensor,
        reshape: Reshape | None = None,
        known: dict[Hashable, Layout] | None = None,
        settled: Layout | None = None,
    ) -> None:
        self._model = model
        self.batch = inputs.shape[0]
        self._size: Grid = (inputs.shape[2], inputs.shape[3])
        self._reshape = reshape
        self._known = known if reshape is None and settled is None else None
        self._settled = settled
        self._numbers: dict[str, int | None] = {}

    @property
    def is_told(self) -> bool:
        """Whether the user says how outputs read."""
        return self._reshape is not None

    @property
    def unrolls(self) -> bool:
        """Whether tokens lie row by row only after some stages, so that the grids before these cannot be read."""
        return bool(self._unrolled)

    def find(self, output: Any) -> torch.Tensor | None:
        """Return the tensor of a layer's output that has a grid: itself, or the first one of a tuple, list or dict."""
        if isinstance(output, torch.Tensor):
            return output
        items = output.values() if isinstance(output, Mapping) else output if isinstance(output, (tuple, list)) else ()
        tensors = [item for item in items if isinstance(item, torch.Tensor)]
        return next((tensor for tensor in tensors if self.readings(tensor)), tensors[0] if tensors else None)

    def read(self, tensor: torch.Tensor, module: nn.Module, name: str) -> Layout:
        """Return the layout of a layer's output.

        Raises:
            LayerError: The output has no grid, belongs to another number of images, or reads in several ways.
        """
        if self._known is None:
            return self._read(tensor, module, name)
        key = name, tensor.shape, tensor.stride(), tensor.dtype, self._size, self.batch
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._read(tensor, module, name)
        return found

    def _read(self, tensor: torch.Tensor, module: nn.Module, name: str) -> Layout:
        kind = type(module).__name__
        if not self.is_told and tensor.shape[:1] != (self.batch,):
            raise of_other_batch(name, tensor.shape, self.batch)
        found = self._readings_of(tensor, module)
        if not found:
            order = ", whose tokens lie row by row in the last stage only" if self._unrolled else ""
            fits = f", which fits no grid of patches of the {self._size[0]} x {self._size[1]} input{order}"
            raise LayerError(
                f"layer {name!r} ({kind}) has no spatial extent: its output is a tensor {tuple(tensor.shape)}"
                f"{fits if tensor.ndim == 3 else ''}; accepted: (B, C, h, w), (B, h, w, C) or (B, tokens, C) with a "
                "grid larger than 1 x 1. Take a layer before the pooling, or layer=None for the last one that has a "
                "grid, or say how to read it: reshape=<callable from this tensor to (B, C, h, w)>"
            )
        if len(found) > 1:
            found = [reading for reading in found if self._agrees(reading, module)] or found
        if self._settled in found:
            return self._settled
        if len(found) > 1:
            raise LayerError(
                f"layer {name!r} ({kind}) has an output {tuple(tensor.shape)} that reads in {len(found)} ways: "
                f"{'; or '.join(map(str, found))}. Say which: reshape=lambda output: output for (B, C, h, w), "
                "reshape=lambda output: output.permute(0, 3, 1, 2) for (B, h, w, C)"
            )
        return found[0]

    def might_read(self, tensor: torch.Tensor, module: nn.Module) -> Layout | None:
        """Return the layout of an output in which nobody asked for this layer, or None."""
        if tensor.ndim == 3 and tensor.shape[1] == self._told("num_queries"):
            return None  # a detector's, which lie on no grid
        found = self._readings_of(tensor, module) if tensor.shape[:1] == (self.batch,) else []
        if len(found) > 1:
            found = [reading for reading in found if self._agrees(reading, module)]
        if not found or (found[0].kind == "NCHW" and not self._fits(found[0].grid) and not convolves(module)):
            return None
        return found[0]

    def readings(self, tensor: torch.Tensor) -> list[Layout]:
        """Return every way in which a tensor reads as (B, C, h, w) with a grid larger than 1 x 1."""
        if self._reshape is not None:
            grid = reshaped(self._reshape, tensor, self.batch).shape[2:]
            return [Layout("reshape", (grid[0], grid[1]), reshape=self._reshape)]
        if not tensor.is_floating_point():
            return []
        if tensor.ndim == 4:
            first = Layout("NCHW", (tensor.shape[2], tensor.shape[3]))
            last = Layout("NHWC", (tensor.shape[1], tensor.shape[2]))
            fitting = [reading for reading in (first, last) if math.prod(reading.grid) > 1 and self._fits(reading.grid)]
            # A network may squeeze one axis more than the other; then only the field's habit is left.
            return fitting or ([first] if math.prod(first.grid) > 1 else [])
        return self._token_readings(tensor.shape[1]) if tensor.ndim == 3 else []

    def _readings_of(self, tensor: torch.Tensor, module: nn.Module) -> list[Layout]:
        """Return the readings of what a module returned; of one that has its channels first by definition, that one."""
        found = self.readings(tensor)
        if self.is_told or not found:
            return found
        if not isinstance(module, CHANNELS_FIRST) and not self._fits_by_chance(found, tensor, module):
            return found
        grid = tensor.shape[2:]
        return [Layout("NCHW", (grid[0], grid[1]))] if len(grid) == 2 and math.prod(grid) > 1 else []

    def _fits_by_chance(self, found: list[Layout], tensor: torch.Tensor, module: nn.Module) -> bool:
        """Return whether channels and one side make a grid of the input, and the two sides after unlike strides do not.

        So it may be where nothing that is made for channels in the last axis has a part, unless the output lies in
        memory as if permuted, or its sides would have strides too unlike.
        """
        if found[0].kind != "NHWC":
            return False
        lies_so = tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
        strides = [side / cells for side, cells in zip(self._size, tensor.shape[2:], strict=True)]
        alike = max(strides) <= _MOST_UNLIKE * min(strides)
        return lies_so and alike and not self._agrees(found[0], module)

    def _fits(self, grid: Grid) -> bool:
        """Return whether one stride on both axes makes the grid of the input, give or take a cell."""
        (least, most), (least_too, most_too) = (
            (side / (cells + 1), side / (cells - 1) if cells > 1 else math.inf)
            for side, cells in zip(self._size, grid, strict=True)
        )
        return least <= most_too and least_too <= most and all(map(int.__le__, grid, (2 * s for s in self._size)))

    def _agrees(self, reading: Layout, module: nn.Module) -> bool:
        """Return whether a reading agrees with what the module is made of, as far as that tells."""
        kinds = {type(inner) for inner in module.modules()}
        has_first, normalises = convolves(module), any(map(normalises_last_axis, kinds))
        if has_first and normalises:
            return True
        if has_first or normalises or any(issubclass(kind, nn.Linear) for kind in kinds):
            return (reading.kind == "NCHW") == has_first
        return reading.kind == "NCHW" or any(normalises_last_axis(type(inner)) for inner in self._model.modules())

    def _token_readings(self, tokens: int) -> list[Layout]:
        found: dict[Layout, tuple[int, bool]] = {}
        (height, width), afters = self._size, {0, self._told("num_detection_tokens") or 0}
        for down, across in self._strides or {(side, side) for side in range(2, max(height, width) + 1)}:
            exact = height % down == 0 and width % across == 0
            grids = {(height // down, width // across), (-(-height // down), -(-width // across))}
            for grid, after in product(grids, afters):
                prefix = tokens - after - grid[0] * grid[1]
                if grid[0] * grid[1] > 1 and (prefix == 0 or self._may_come_before(prefix)):
                    layout, cost = Layout("tokens", grid, prefix, after), (prefix, not exact)
                    found[layout] = min(cost, found.get(layout, cost))
        best = min(found.values(), default=None)
        return [layout for layout, cost in found.items() if cost == best]

    def _may_come_before(self, prefix: int) -> bool:
        told = self._told("num_prefix_tokens")  # as timm's models do
        return 0 < prefix <= _MOST_PREFIX_TOKENS and told in (None, prefix)

    def _told(self, name: str) -> int | None:
        """Return a number that a module of the model tells, or its config, as those of Hugging Face do."""
        if name not in self._numbers:
            tellers = (
                teller for module in self._model.modules() for teller in (module, getattr(module, "config", None))
            )
            told = (getattr(teller, name, None) for teller in tellers)
            self._numbers[name] = next((number for number in told if isinstance(number, int)), None)
        return self._numbers[name]

    @cached_property
    def _strides(self) -> set[Grid]:
        """The sizes of patches that the model cuts, and what merging them two by two makes of those."""
        cut = {
            (module.stride[0], module.stride[1])
            for module in self._model.modules()
            if isinstance(module, nn.Conv2d) and max(module.stride) > 1
        }
        return {(down * 2**merged, across * 2**merged) for down, across in cut for merged in range(self._unrolled, 6)}

    @cached_property
    def _unrolled(self) -> int:
        """How often tokens must have been merged until they lie row by row, as Hiera's models tell; 0 for others.

        Before that those that will be merged lie far apart, and a module of the model, or a method, rolls them back.
        """
        told = (vars(module).get("schedule") for module in self._model.modules() if _rolls_back(module))
        return next((len(schedule[0][0]) for schedule in told if isinstance(schedule, dict)), 0)


def _rolls_back(module: nn.Module) -> bool:
    return type(module).__name__ == "Reroll" or callable(getattr(type(module), "reroll", None))


def of_other_batch(name: str, shape: torch.Size, images: int) -> LayerError:
    """Return the error about a layer with an output of that shape for a number of images."""
    return LayerError(
        f"layer {name!r} has an output {tuple(shape)} for {images} images, so which part belongs to which image is not "
        f"known; accepted: ({images}, C, h, w), ({images}, h, w, C) or ({images}, tokens, C), or "
        "reshape=<callable from this tensor to (B, C, h, w)>"
    )
