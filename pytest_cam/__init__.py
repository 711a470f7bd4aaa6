"""Attention regression tests for PyTorch vision models.

The public names are loaded when they are first used: importing this package imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_cam.attending import attend, attend_batch
    from pytest_cam.attention import Attention
    from pytest_cam.checks.agrees import assert_attention_agrees
    from pytest_cam.checks.bound import Cam
    from pytest_cam.checks.class_discriminative import assert_attention_class_discriminative
    from pytest_cam.checks.depends_on_weights import assert_attention_depends_on_weights
    from pytest_cam.checks.faithful import assert_attention_faithful
    from pytest_cam.checks.in_region import assert_attention_in_region
    from pytest_cam.checks.matches_baseline import assert_attention_matches_baseline
    from pytest_cam.checks.needs_region import assert_prediction_needs_region
    from pytest_cam.checks.not_in_region import assert_attention_not_in_region
    from pytest_cam.checks.ranking_curves import Faithfulness
    from pytest_cam.checks.region_suffices import assert_region_suffices
    from pytest_cam.checks.soft import Soft, soft
    from pytest_cam.checks.stable import assert_attention_stable
    from pytest_cam.comparison import Comparison
    from pytest_cam.engine.layers import FusedLayers
    from pytest_cam.engine.methods import register_method
    from pytest_cam.engine.scores.located_targets import DetectionBox, SegmentationMask
    from pytest_cam.engine.scores.ready_targets import (
        BinaryLogit,
        ClassLogit,
        ClassProbability,
        ContrastiveLogit,
        Similarity,
    )
    from pytest_cam.errors import (
        AttentionError,
        BaselineError,
        CamError,
        CollectedAttentionError,
        ProbabilityWarning,
        TargetIgnoredWarning,
    )
    from pytest_cam.images.perturbations import Brightness, Flip, Jpeg, Noise, Shift
    from pytest_cam.images.regions import Box, Mask, Polygon, Region
    from pytest_cam.intervention import Intervention
    from pytest_cam.side_by_side import strip, table

# Where they are, but for errors and warnings, which are known by their names.
_HOMES = {
    "Attention": "attention",
    "BinaryLogit": "engine.scores.ready_targets",
    "Box": "images.regions",
    "Brightness": "images.perturbations",
    "Cam": "checks.bound",
    "ClassLogit": "engine.scores.ready_targets",
    "ClassProbability": "engine.scores.ready_targets",
    "Comparison": "comparison",
    "ContrastiveLogit": "engine.scores.ready_targets",
    "DetectionBox": "engine.scores.located_targets",
    "Flip": "images.perturbations",
    "Faithfulness": "checks.ranking_curves",
    "FusedLayers": "engine.layers",
    "Intervention": "intervention",
    "Jpeg": "images.perturbations",
    "Mask": "images.regions",
    "Noise": "images.perturbations",
    "Polygon": "images.regions",
    "Region": "images.regions",
    "SegmentationMask": "engine.scores.located_targets",
    "Shift": "images.perturbations",
    "Similarity": "engine.scores.ready_targets",
    "Soft": "checks.soft",
    "assert_attention_agrees": "checks.agrees",
    "assert_attention_class_discriminative": "checks.class_discriminative",
    "assert_attention_depends_on_weights": "checks.depends_on_weights",
    "assert_attention_faithful": "checks.faithful",
    "assert_attention_in_region": "checks.in_region",
    "assert_attention_matches_baseline": "checks.matches_baseline",
    "assert_attention_not_in_region": "checks.not_in_region",
    "assert_prediction_needs_region": "checks.needs_region",
    "assert_region_suffices": "checks.region_suffices",
    "assert_attention_stable": "checks.stable",
    "attend": "attending",
    "attend_batch": "attending",
    "register_method": "engine.methods",
    "soft": "checks.soft",
    "strip": "side_by_side",
    "table": "side_by_side",
}

__all__ = [
    "Attention",
    "AttentionError",
    "BaselineError",
    "BinaryLogit",
    "Box",
    "Brightness",
    "Cam",
    "CamError",
    "ClassLogit",
    "ClassProbability",
    "CollectedAttentionError",
    "Comparison",
    "ContrastiveLogit",
    "DetectionBox",
    "Faithfulness",
    "Flip",
    "FusedLayers",
    "Intervention",
    "Jpeg",
    "Mask",
    "Noise",
    "Polygon",
    "ProbabilityWarning",
    "Region",
    "SegmentationMask",
    "Shift",
    "Similarity",
    "Soft",
    "TargetIgnoredWarning",
    "assert_attention_agrees",
    "assert_attention_class_discriminative",
    "assert_attention_depends_on_weights",
    "assert_attention_faithful",
    "assert_attention_in_region",
    "assert_attention_matches_baseline",
    "assert_attention_not_in_region",
    "assert_attention_stable",
    "assert_prediction_needs_region",
    "assert_region_suffices",
    "attend",
    "attend_batch",
    "register_method",
    "soft",
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
    return sorted({*globals(), *__all__})
