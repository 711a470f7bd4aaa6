"""A map of now against its baseline: by which rule, with which numbers and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_cam.attention import Attention
from pytest_cam.baselines.baseline import Baseline
from pytest_cam.errors import DependencyError
from pytest_cam.images import drawing
from pytest_cam.images.loading import RGB
from pytest_cam.images.panel import tile_of
from pytest_cam.images.style import Style
from pytest_cam.measures.alignment import extent_of
from pytest_cam.verdicts.findings import Figure, Findings, View
from pytest_cam.verdicts.likeness import Mode, likeness
from pytest_cam.verdicts.message import explained
from pytest_cam.views import where

if TYPE_CHECKING:
    from pytest_cam.baselines.model_identity import ModelIdentity

CHECK = "attention matches baseline"
_TILE = 320
# Differences below this share of the maximum stay pale: rounding must not be drawn in full colour.
_LEAST = 0.05


def rule_for(mode: Mode | None, kept: ModelIdentity, now: ModelIdentity) -> tuple[Mode, str]:
    """Return by which rule a map is held to its baseline, and why.

    Args:
        mode: What the test asks for, or None.
        kept: The baseline's model.
        now: The model of now.
    """
    same = kept.weights is not None and kept.weights == now.weights
    reason = _compared(kept, now)
    if mode is not None:
        return mode, f"as the test asks; {reason}"
    return "same-weights" if same else "retrained", reason


def figures_of(baseline: Baseline, attention: Attention, mode: Mode) -> tuple[Figure, ...]:
    """Return the numbers of a map against its baseline, with the limits of a rule."""
    return likeness(baseline.map, attention.map, mode, extent_of(attention.geometry))


def distance(figures: tuple[Figure, ...]) -> str:
    """Return how far a map is from its baseline, in few words."""
    return ", ".join(f"{figure.name} {figure.value:.3g}" for figure in figures)


def findings(
    baseline: Baseline,
    attention: Attention,
    figures: tuple[Figure, ...],
    name: str,
    rule: tuple[Mode, str],
    command: str,
) -> Findings:
    """Return what a failure needs to be drawn and explained: expected, actual and difference."""
    mode, reason = rule
    picture = drawing.reduced(attention.image.rgb())
    cam = baseline.map.astype(np.float32) * np.float32(baseline.maximum)
    about = {"layer": attention.layer, "method": attention.method, "target": attention.target}
    views = [
        View("expected", "expected: the baseline", picture, cam, attention.geometry, about),
        View("actual", "actual", picture, attention.map, attention.geometry, about),
    ]
    coloured, full = _difference(baseline, attention, tile_of(picture, _TILE))
    if coloured is not None:
        views.append(View("difference", "difference", coloured))
    facts = [
        ("baseline", name),
        ("rule", f"{mode}: {reason}"),
        ("explained", explained(attention.explained)),
        (
            "difference",
            f"red where there is more now, blue where there is less; full colour is {full:.0%} of a maximum",
        ),
    ]
    return Findings(
        check=CHECK,
        where=f"{mode}, {where(attention)}",
        figures=figures,
        views=tuple(views),
        image_name=attention.image.name,
        geometry=attention.geometry,
        facts=tuple(facts if coloured is not None else facts[:-1]),
        hints=(f"if the model is right, accept its map: {command}",),
    )


def picture(attention: Attention) -> RGB | None:
    """Return the map over the image, for reviewers; None where OpenCV does not import."""
    try:
        return drawing.overlaid(tile_of(attention.image.rgb(), _TILE), attention.map, attention.geometry, Style())
    except DependencyError:
        return None


def _difference(baseline: Baseline, attention: Attention, picture: RGB) -> tuple[RGB | None, float]:
    """Return the picture of actual minus expected, each divided by its maximum, and what full colour means."""
    size = (picture.shape[1], picture.shape[0])
    geometry = attention.geometry
    try:
        expected, actual = (
            drawing.on_image(drawing.normalised(cam), geometry, size) for cam in (baseline.map, attention.map)
        )
        apart = actual - expected
        full = max(float(np.abs(apart).max()), _LEAST)
        return drawing.signed_overlay(picture, apart / full, drawing.seen_mask(geometry, size)), full
    except DependencyError:
        return None, 1.0


def _compared(kept: ModelIdentity, now: ModelIdentity) -> str:
    if kept.weights is None or now.weights is None:
        return "the weights are not known, since this model, or the baseline's, is no module"
    if kept.weights == now.weights:
        return "the weights are the baseline's"
    if kept.architecture == now.architecture:
        return "the weights differ from the baseline's, the architecture does not"
    return "weights and architecture differ from the baseline's"
