"""One map from several: of several layers, and of several versions of the input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from pytest_cam.engine.asking import Found
from pytest_cam.engine.explaining import explain
from pytest_cam.engine.layers import LayersLike
from pytest_cam.engine.methods import Method
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scores.ready_targets import ReadyTarget
from pytest_cam.engine.scores.targets import Target
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import LayerError, is_ours

__tracebackhide__ = is_ours

# Whether the input is mirrored, and what it is multiplied by.
_VERSIONS = ((False, 0.9), (False, 1.1), (True, 1.0), (True, 0.9), (True, 1.1))


def smoothed(
    subject: Subject,
    inputs: torch.Tensor,
    layer: LayersLike,
    methods: Sequence[Method],
    targets: list[list[Target]],
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> list[Found]:
    """Return what `explain` does, each map the mean over six versions of the input.

    They are the input, 0.9 times and 1.1 times it, and the three mirrored from left to right, whose maps are mirrored
    back: the test-time augmentation that is usual for class activation maps. All explain the class of the input, and of
    a segmenter the pixels that are predicted as it in the input.

    Args:
        subject: As for `explain`.
        inputs: As for `explain`.
        layer: As for `explain`.
        methods: As for `explain`.
        targets: As for `explain`.
        seed: As for `explain`.
        options: As for `explain`.
    """
    found = explain(subject, inputs, layer, methods, targets, seed=seed, options=options)
    # The classes that the input itself is predicted as, and the places where it is predicted so.
    fixed = [
        [_fixed(given, what) for given, what in zip(each, one.explained, strict=True)]
        for each, one in zip(targets, found, strict=False)
    ]
    totals = [one.maps.astype(np.float64) for one in found]
    for mirrored, factor in _VERSIONS:
        subject.state.rewind()
        version = (inputs.flip(-1) if mirrored else inputs) * factor
        turned = [[_mirrored(target, inputs.shape[-1]) for target in each] for each in fixed] if mirrored else fixed
        others = explain(subject, version, layer, methods, turned, seed=seed, options=options)
        for total, one, first in zip(totals, others, found, strict=True):
            if (one.layer, one.call) != (first.layer, first.call):
                raise LayerError(
                    f"the layer that was found for the input is {first.layer!r}, and for a version of it "
                    f"{one.layer!r}, so their maps have no mean; name the layer"
                )
            total += one.maps[..., ::-1] if mirrored else one.maps
    count = len(_VERSIONS) + 1
    return [replace(one, maps=(total / count).astype(np.float32)) for one, total in zip(found, totals, strict=True)]


def _fixed(given: Target, what: Explained) -> Target:
    # What a version has lost would have a score of zero there, and that no gradient: its own error says more.
    may_be_lost = isinstance(given, ReadyTarget) and not given.is_in_all_versions
    fixed: Target = given if may_be_lost else what.for_versions(given)
    return fixed


def _mirrored(target: Target, width: int) -> Target:
    return target.mirrored(width) if isinstance(target, ReadyTarget) else target


def fused(found: list[Found], how: str) -> Found:
    """Return one for several layers' maps of one method and target, on the finest of their grids.

    The maps of different layers differ in scale by orders of magnitude, so each is divided by its maximum first. (A map
    of zeros stays one.) Fusing by the maximum is that of LayerCAM, Jiang et al., TIP 2021, section III-C.

    Args:
        found: The layers' maps (B, h, w).
        how: "max" or "mean".
    """
    finest = max(found, key=lambda one: one.maps.shape[1] * one.maps.shape[2])
    stacked = np.stack([_on_grid(_scaled(one.maps), finest.maps.shape[1:]) for one in found])
    reduce: Callable[..., npt.NDArray[np.float32]] = np.max if how == "max" else np.mean
    return replace(
        finest,
        layer=f"{how} of {', '.join(one.layer for one in found)}",
        call=1,
        calls=1,
        layout=f"{how} of {len(found)} layers, {finest.maps.shape[1]} x {finest.maps.shape[2]}",
        maps=np.ascontiguousarray(reduce(stacked, axis=0), dtype=np.float32),
    )


def _scaled(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    peaks = maps.max(axis=(1, 2), keepdims=True)
    scaled: npt.NDArray[np.float32] = np.divide(maps, peaks, out=np.zeros_like(maps), where=peaks > 0)
    return scaled


def _on_grid(maps: npt.NDArray[np.float32], grid: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if maps.shape[1:] == grid:
        return maps
    raised = functional.interpolate(torch.from_numpy(maps)[:, None], grid, mode="bilinear", align_corners=False)
    return np.asarray(raised[:, 0].numpy(), dtype=np.float32)
