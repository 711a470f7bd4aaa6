"""The maps of different classes must differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_cam.attending import attend
from pytest_cam.attention import Attention
from pytest_cam.checks.how import How, require_how
from pytest_cam.engine.black_box import Model
from pytest_cam.engine.methods import method_named
from pytest_cam.engine.scores.targets import Target
from pytest_cam.errors import LimitError, MethodError, RegionError, TargetError, UnattainableError, is_ours
from pytest_cam.images.frames import Frame, region_in_image
from pytest_cam.images.regions import Region
from pytest_cam.measures.localization import GridRegion, energy, metric_named
from pytest_cam.measures.similarity import COSINE_RANGE, cosine
from pytest_cam.verdicts.findings import Figure, Findings
from pytest_cam.verdicts.judging import Asked, judge
from pytest_cam.verdicts.limits import FIXED, Limits, fallible_limit, least, limit_within, most
from pytest_cam.verdicts.message import explained
from pytest_cam.verdicts.region import grid_region, measure
from pytest_cam.views import view_of, where

if TYPE_CHECKING:
    from typing_extensions import Unpack

__tracebackhide__ = is_ours

CHECK = "attention class-discriminative"

_MOST_ALIKE = 0.8
_LEAST_SKILL = 0.25
_LEADS = Limits(at_least=0.01, origin=FIXED)


def assert_attention_class_discriminative(
    model: Model,
    img: Any,
    targets: Sequence[Target],
    regions: Sequence[Any] | None = None,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    frame: Frame = "image",
    **how: Unpack[How],
) -> list[Attention]:
    """Fail unless the maps of several classes differ: what is explained is this class, and not whatever stands out.

    Of an image with one object both maps may rightly be on that object: use one that shows something of each class.

    Args:
        model: As for `attend`.
        img: As for `attend`; it shows something of each class.
        targets: Two or more, each as for `attend`, of different classes; all are explained in one forward pass.
        regions: One region for each target, in that order: the cat's and the dog's. Then each map must lie in its own
            region, and have more of its energy there than in any other's, by a hundredth of all at least.
        at_most: The greatest cosine that two of the maps may have, in [0, 1]; 0.8 where no regions are given. With
            regions it is asked only if it is given.
        at_least: With regions: the least skill of each map in its own region; 0.25 by default.
        frame: "image" (default), or "input" where the regions are in pixels of the model's input.
        **how: `layer`, `method`, `preprocess` and all else as for `attend`, but no `target`.

    Returns:
        The attentions, in the order of the targets.

    Raises:
        AttentionError: The maps are too much alike, or one is not in its own region.
        TargetError: There are fewer than two targets, or two of them are one class.
        RegionError: The number of regions is not that of the targets, or one is malformed or not in the image.
        MethodError: The method has the same map for every target.
        LimitError: A limit is outside of its range, cannot be met or failed, or has nothing that it could be held to.
        EmptyMapError: A map is zero everywhere.
        CamError: As for `attend`.
    """
    require_how(how, assert_attention_class_discriminative)
    _require_askable(model, targets, regions, how)
    of_cosine, of_skill = _limits(at_most, at_least, regions is not None)
    asked: dict[str, Any] = {**how, "target": list(targets)}
    attentions: list[Attention] = attend(model, img, frame=frame, **asked)
    _require_different(attentions, targets)
    with Asked(attentions[0].evidence):
        for attention in attentions:
            attention.require_something()
        figures = _cosines(attentions, of_cosine)
        placed: tuple[Region, ...] = ()
        if regions is not None:
            placed = tuple(_placed(region, frame, attentions[0]) for region in regions)
            figures = [*_in_own(attentions, placed, of_skill), *figures]
        judge(CHECK, figures, lambda held: _findings(attentions, held, placed))
    return attentions


def _require_askable(model: Model, targets: Sequence[Target], regions: Sequence[Any] | None, how: How) -> None:
    if how.get("target") is not None:
        raise TargetError("target= is given beside targets=[...]; accepted: the targets alone")
    if not isinstance(targets, (list, tuple)) or len(targets) < 2:
        given = f"{len(targets)} of them" if isinstance(targets, (list, tuple)) else repr(targets)
        raise TargetError(f"targets is {given}; accepted: a list of two or more, whose maps are to differ")
    if regions is not None and (not isinstance(regions, (list, tuple)) or len(regions) != len(targets)):
        given = str(len(regions)) if isinstance(regions, (list, tuple)) else repr(regions)
        raise RegionError(
            f"regions is {given} for {len(targets)} targets; accepted: a list with one for each, in their order"
        )
    method = method_named(how.get("method", "gradcam++"), model)
    if not method.takes_a_target:
        raise MethodError(
            f"{method.name} has the same map for every target, so it cannot tell classes apart; take another method"
        )


def _limits(at_most: float | None, at_least: float | None, with_regions: bool) -> tuple[Limits, Limits]:
    if at_least is not None and not with_regions:
        raise LimitError("at_least is the least skill of each map in its own region: give regions=[...], too")
    cosine = fallible_limit("at_most", at_most, "the cosine", *COSINE_RANGE)
    skill = None if at_least is None else limit_within("at_least", at_least, "skill", -float("inf"), 1.0)
    alike = Limits() if with_regions and cosine is None else most(cosine, _MOST_ALIKE)
    return alike, least(skill, _LEAST_SKILL)


def _require_different(attentions: Sequence[Attention], targets: Sequence[Target]) -> None:
    pairs = combinations(zip(targets, attentions, strict=True), 2)
    for (given, one), (other_given, other) in pairs:
        if given is other_given or (one.target is not None and one.target == other.target):
            known = "" if one.target is None else f", class {one.target}"
            raise TargetError(
                f"the targets {_said(given)} and {_said(other_given)} are one and the same: {one.explained.name}{known}"
                "; accepted: targets of different classes"
            )


def _placed(region: Any, frame: Frame, attention: Attention) -> Region:
    """Return a region in image pixels, dilated by cells of the maps, which have one grid, where that is asked for."""
    geometry = attention.geometry
    cell = geometry.cell_in_image(attention.map.shape)
    return region_in_image(region, frame, geometry).resolved(cell, geometry.image_size)


def _said(target: Target) -> str:
    return "None (the predicted class)" if target is None else repr(target)


def _names(attentions: Sequence[Attention]) -> list[str]:
    names = [attention.explained.name for attention in attentions]
    # Functions can share a name, as all lambdas do.
    return [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names, 1)]


def _cosines(attentions: Sequence[Attention], limits: Limits) -> list[Figure]:
    meaning = "of the two maps: 1 for the same map, 0 for maps that nowhere overlap"
    named = list(zip(_names(attentions), attentions, strict=True))
    return [
        Figure(f"cosine of {one} and {two}", cosine(first.map, second.map), limits, meaning, range=COSINE_RANGE)
        for (one, first), (two, second) in combinations(named, 2)
    ]


def _in_own(attentions: Sequence[Attention], regions: Sequence[Region], limits: Limits) -> list[Figure]:
    skill, figures = metric_named("skill"), []
    names = _names(attentions)
    for number, (name, attention) in enumerate(zip(names, attentions, strict=True)):
        cam, geometry = attention.map, attention.geometry
        own = measure(cam, geometry, regions[number], skill, limits)
        figures.append(
            Figure(
                f"skill of {name}",
                own.value,
                limits,
                f"in its own {regions[number].kind}: 0 is chance, 1 the best",
                range=own.range,
                level=own.level,
            )
        )
        there = [grid_region(region, geometry, cam.shape) for region in regions]
        for other in range(len(regions)):
            if other != number:
                _require_apart(there[number], there[other], name, names[other])
                more = energy(cam.astype(np.float64), there[number]) - energy(cam.astype(np.float64), there[other])
                meaning = "of the map's energy, in its own region less that in the other's"
                figures.append(Figure(f"lead of {name} over {names[other]}", more, _LEADS, meaning))
    return figures


def _require_apart(own: GridRegion, other: GridRegion, name: str, other_name: str) -> None:
    if (own.share - other.share).max() <= 0:
        raise UnattainableError(
            f"unattainable: no map can have more energy in the region of {name} than in that of {other_name}, which "
            "covers as much of every cell; give regions that do not contain one another"
        )


def _findings(attentions: Sequence[Attention], figures: tuple[Figure, ...], regions: tuple[Region, ...]) -> Findings:
    first = attentions[0]
    names = _names(attentions)
    hints = ["of an image that shows one object, all classes are rightly explained by it: use one that shows each"]
    if regions:
        crossed = all(not figure.passed for figure in figures if figure.name.startswith("lead of"))
        hints = ["every map lies in another's region: compare the order of targets and regions"] if crossed else []
    owns: Sequence[Region | None] = regions or [None] * len(names)
    if first.method == "gradcam++":
        hints.append("gradcam++ weighs all that speaks for a class; method='gradcam' tells classes apart better")
    return Findings(
        check=CHECK,
        where=where(first),
        figures=figures,
        views=tuple(
            replace(view_of(attention, f"target-{number}", name), own=own)
            for number, (name, attention, own) in enumerate(zip(names, attentions, owns, strict=True), 1)
        ),
        image_name=first.image.name,
        geometry=first.geometry,
        facts=tuple((name, explained(each.explained)) for name, each in zip(names, attentions, strict=True)),
        regions=regions,
        hints=tuple(hints),
    )
