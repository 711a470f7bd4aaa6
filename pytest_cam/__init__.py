"""Attention regression tests for PyTorch vision models.

The public names are loaded when they are first used: importing this package imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_cam.attending import attend, attend_batch
    from pytest_cam.attention import Attention
    from pytest_cam.checks.bound import Cam
    from pytest_cam.checks.faithful import assert_attention_faithful
    from pytest_cam.checks.in_region import assert_attention_in_region
    from pytest_cam.checks.needs_region import assert_prediction_needs_region
    from pytest_cam.checks.not_in_region import assert_attention_not_in_region
    from pytest_cam.checks.ranking_curves import Faithfulness
    from pytest_cam.checks.region_suffices import assert_region_suffices
    from pytest_cam.comparison import Comparison
    from pytest_cam.engine.layers import FusedLayers
    from pytest_cam.engine.located_targets import DetectionBox, SegmentationMask
    from pytest_cam.engine.methods import register_method
    from pytest_cam.engine.ready_targets import (
        BinaryLogit,
        ClassLogit,
        ClassProbability,
        ContrastiveLogit,
        Similarity,
    )
    from pytest_cam.errors import AttentionError, CamError, ProbabilityWarning, TargetIgnoredWarning
    from pytest_cam.images.regions import Box, Mask, Polygon, Region
    from pytest_cam.intervention import Intervention
    from pytest_cam.side_by_side import strip, table

_HOMES = {
    "Attention": "attention",
    "AttentionError": "errors",
    "BinaryLogit": "engine.ready_targets",
    "Box": "images.regions",
    "Cam": "checks.bound",
    "CamError": "errors",
    "ClassLogit": "engine.ready_targets",
    "ClassProbability": "engine.ready_targets",
    "Comparison": "comparison",
    "ContrastiveLogit": "engine.ready_targets",
    "DetectionBox": "engine.located_targets",
    "Faithfulness": "checks.ranking_curves",
    "FusedLayers": "engine.layers",
    "Intervention": "intervention",
    "Mask": "images.regions",
    "Polygon": "images.regions",
    "ProbabilityWarning": "errors",
    "Region": "images.regions",
    "SegmentationMask": "engine.located_targets",
    "Similarity": "engine.ready_targets",
    "TargetIgnoredWarning": "errors",
    "assert_attention_faithful": "checks.faithful",
    "assert_attention_in_region": "checks.in_region",
    "assert_attention_not_in_region": "checks.not_in_region",
    "assert_prediction_needs_region": "checks.needs_region",
    "assert_region_suffices": "checks.region_suffices",
    "attend": "attending",
    "attend_batch": "attending",
    "register_method": "engine.methods",
    "strip": "side_by_side",
    "table": "side_by_side",
}

__all__ = [
    "Attention",
    "AttentionError",
    "BinaryLogit",
    "Box",
    "Cam",
    "CamError",
    "ClassLogit",
    "ClassProbability",
    "Comparison",
    "ContrastiveLogit",
    "DetectionBox",
    "Faithfulness",
    "FusedLayers",
    "Intervention",
    "Mask",
    "Polygon",
    "ProbabilityWarning",
    "Region",
    "SegmentationMask",
    "Similarity",
    "TargetIgnoredWarning",
    "assert_attention_faithful",
    "assert_attention_in_region",
    "assert_attention_not_in_region",
    "assert_prediction_needs_region",
    "assert_region_suffices",
    "attend",
    "attend_batch",
    "register_method",
    "strip",
    "table",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name, "errors" if name.endswith(("Error", "Warning")) else None)
    if home is not None:
        module = import_module(f"pytest_cam.{home}")
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"module 'pytest_cam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
