"""Where the graph is cut when no layer is named: at the last output that shows the image on a grid."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import nn

from pytest_cam.engine.layers import Layer
from pytest_cam.engine.model.hooks import HookManager, takes_hooks
from pytest_cam.engine.passes.backward import leads_to
from pytest_cam.engine.passes.graph import comes_from, is_joined_last
from pytest_cam.engine.passes.tap import Prelude, Seen, cut, under_inference_mode
from pytest_cam.engine.reading.carriers import passes_on, with_tensor
from pytest_cam.engine.reading.channel_axis import convolves, normalises_last_axis
from pytest_cam.engine.reading.layouts import Grid, Layout
from pytest_cam.engine.reading.reader import Reader, of_other_batch
from pytest_cam.engine.scores.targets import Scores
from pytest_cam.errors import LayerError, is_ours

__tracebackhide__ = is_ours

# These change the grid, not what is seen; where one is the last to have a grid, the features before it are explained.
_RESAMPLING = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
# These, and norms over the last axis, have the grid of what they get.
_KEEPS_THE_GRID = (nn.Identity, nn.Dropout)
# How many layers are tried where the score does not depend on the last one, or is read from it: up to the last of those
# that a path leads from to the score.
_NORMS_TRIED, _OTHERS_TRIED = 8, 33


class _Cut(NamedTuple):
    """A layer, and its last output as a leaf of the graph, which lives as long as anything that has come from it."""

    layer: Layer
    leaf: ref[torch.Tensor]


class LastTap:
    """Cuts the graph anew at each output with a grid: when the pass ends, the last cut is the one that holds.

    The outermost layer gives the name where several return the same output and nothing else; adaptive pooling does not
    count.

    Attributes:
        norms: The normalisations of token sequences that ran, in their order: what to explain instead where the score
            reads nothing of the last sequence but a class token.
        others: All layers whose outputs were the last ones for a while, in their order and by their names: what to
            explain instead where the last one is on a side branch, or is what the score is read from.
    """

    def __init__(self, model: nn.Module, reader: Reader, hooks: HookManager, prelude: Prelude) -> None:
        self._reader, self._prelude = reader, prelude
        self._calls: Counter[str] = Counter()
        self._seen: Seen | None = None
        self._passed_on: torch.Tensor | None = None
        self._passed_on_version = 0
        self._resampled: torch.Tensor | None = None
        self._without_gradient = ""
        self._of_other_batch: tuple[str, torch.Size] | None = None
        self._grids: set[Grid] = set()
        # Weak, since a cut lets go of the outputs before it.
        self._leaves: list[ref[torch.Tensor]] = []
        self._prefix: int | None = None  # of the last tokens
        self._not_before: set[Layout] = set()  # of tokens that would be read so, and others lie behind the patches
        self.norms: dict[str, Layer] = {}
        self.others: dict[str, _Cut] = {}
        for name, module in model.named_modules():
            if name and takes_hooks(module):
                hooks.add(module, self._after(name))

    def seen(self) -> list[Seen]:
        """Return the one output that is explained.

        Raises:
            LayerError: No layer has an output with a grid, or only for another number of images, or it was overwritten
                later.
            ModelError: The model runs that layer under `inference_mode`.
        """
        if self._without_gradient:
            raise under_inference_mode(f"layer {self._without_gradient!r}")
        if self._seen is None and self._of_other_batch is not None:
            raise of_other_batch(*self._of_other_batch, self._reader.batch)
        if self._seen is None:
            raise LayerError(
                "no layer of this model has an output with spatial extent, (B, C, h, w), (B, h, w, C) or "
                "(B, tokens, C), so there is nothing to map"
            )
        self._seen.calls = self._calls[self._seen.name]
        self._seen.require_untouched()
        return [self._seen]

    def instead(self, scores: list[Scores]) -> list[list[Layer]]:
        """Return layers of which to take the last that the score depends on, where it does not on the last of all.

        First the normalisations, where nothing but a class token may be read of the last tokens; then what was last for
        a while, as where a side branch runs at the end.

        Args:
            scores: The scores of each target, with the graph of this pass.
        """
        norms = list(self.norms.values())[-_NORMS_TRIED:] if self._seen and self._seen.layout.prefix else []
        cuts = list(self.others.values())
        ends = {_last_reached(cuts, each) + 1 for each in scores}
        others = [one.layer for at, one in enumerate(cuts) if any(end - _OTHERS_TRIED <= at < end for end in ends)]
        return [each for each in (norms, others) if each]

    def _after(self, name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            self._calls[name] += 1
            tensor = self._reader.find(output)
            layout = None if tensor is None else self._layout_if_new(name, module, output, tensor)
            if tensor is None or layout is None:
                return None
            self._prelude.end(layout)
            self._without_gradient = name if torch.is_inference_mode_enabled() else ""
            if self._without_gradient:
                return None
            self.others.pop(name, None)  # so that it comes after what has run since
            kept, passed_on = cut(tensor, module, args, anew=True, with_graph=self._prelude.with_graph)
            self.others[name] = _Cut(Layer(name, module), ref(kept))
            self._note(layout, kept)
            self._seen = Seen(name, layout, self._calls[name], self._calls[name], kept, kept._version)
            self._passed_on, self._passed_on_version = passed_on, passed_on._version
            return with_tensor(output, tensor, passed_on)

        return hook

    def _layout_if_new(self, name: str, module: nn.Module, output: Any, tensor: torch.Tensor) -> Layout | None:
        """Return how an output reads that is the first or another one of the image on a grid; else None.

        What passes on the last one takes its name.
        """
        layout = self._reader.might_read(tensor, module)
        if layout is None:
            if self._would_have_grid(tensor):
                self._of_other_batch = name, tensor.shape
            return None
        # Within attention a linear layer makes keys and values of the tokens, which are no features of their own.
        if layout.kind == "tokens" and isinstance(module, nn.Linear) and self._seen is not None:
            return None
        if tensor is self._resampled or isinstance(module, _RESAMPLING):
            self._resampled = tensor
            return None
        # The same tensor is the same output only while nothing has written to it, as `x += y` does.
        is_the_same = tensor is self._passed_on and tensor._version == self._passed_on_version
        if not (is_the_same or self._shows_the_image(layout, module, tensor)):
            return None
        if layout.kind == "tokens" and normalises_last_axis(type(module)):
            self.norms[name] = Layer(name, module)
        if is_the_same and self._seen is not None and passes_on(name, output, self._seen.name, tensor):
            self.others.pop(self._seen.name, None)
            self.others[name] = _Cut(Layer(name, module), ref(self._seen.tensor))
            self._seen.name, self._seen.call = name, self._calls[name]
        # Another view of the same numbers, as `permute` gives, is no new output either.
        is_a_view = tensor._base is not None and tensor._base is self._passed_on
        return None if is_the_same or is_a_view else layout

    def _would_have_grid(self, tensor: torch.Tensor) -> bool:
        """Return whether only the number of images keeps an output from being the first one with a grid."""
        reader = self._reader
        of_others = tensor.shape[:1] != (reader.batch,) and not reader.is_told
        return of_others and self._seen is None and bool(reader.readings(tensor))

    def _shows_the_image(self, layout: Layout, module: nn.Module, tensor: torch.Tensor) -> bool:
        """Return whether an output can be what became of the image, as far as the outputs before it tell.

        Numbers of tokens fit a grid by accident, of words, of rows of a table, of queries; and positions have a grid,
        too. What became of the image comes from an output that was seen before, or begins another branch, by a
        convolution; and tokens have a grid that was there before, or one that is made of it by merging cells. No
        tokens are read where others joined them that lie behind the patches, as words of a prompt do.
        """
        if not self._leaves:
            return True
        may_begin = layout.kind != "tokens" and convolves(module)
        is_another = not may_begin and torch.is_grad_enabled() and not comes_from(tensor, self._leaves)
        if is_another or self._has_others_behind(layout, tensor):
            return False
        if layout.grid in self._grids:
            return True
        if isinstance(module, _KEEPS_THE_GRID) or normalises_last_axis(type(module)):
            return False
        if layout.kind != "tokens" or self._reader.unrolls:
            return True
        return self._prefix in (None, layout.prefix) and any(_is_merged(layout.grid, grid) for grid in self._grids)

    def _has_others_behind(self, layout: Layout, tensor: torch.Tensor) -> bool:
        """Return whether tokens that joined the patches since lie behind these, or anywhere, as words of a prompt do.

        Their number alone would have them read as tokens before the patches, and the grid shifted by as many.
        """
        # What a model tells is told of tokens behind the patches, too; once attention mixed them, nothing is seen.
        if layout not in self._not_before and layout.prefix > (self._prefix or 0) and not layout.suffix:
            if not torch.is_grad_enabled() or is_joined_last(tensor, self._leaves):
                return False
            self._not_before.add(layout)
        return layout in self._not_before

    def _note(self, layout: Layout, kept: torch.Tensor) -> None:
        self._leaves = [*(leaf for leaf in self._leaves if leaf() is not None), ref(kept)]
        self._grids.add(layout.grid)
        if layout.kind == "tokens":
            self._prefix = layout.prefix


def _last_reached(cuts: list[_Cut], scores: Scores) -> int:
    """Return the index of the last cut that a path leads from to a score, or of the very last where there is none."""
    leaves = [one.leaf() for one in cuts]
    reached = (at for at in reversed(range(len(cuts))) if (leaf := leaves[at]) is not None and leads_to(leaf, scores))
    return next(reached, len(cuts) - 1)


def _is_merged(grid: Grid, of: Grid) -> bool:
    """Return whether a grid is what merging cells two by two makes of another one, once or more often."""
    sides = list(zip(grid, of, strict=True))
    return any(all(side in (whole // by, -(-whole // by)) for side, whole in sides) for by in (2, 4, 8))
