"""Is one map like another? The rules for two models that should look at the same place, by what lies between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict, get_args

import numpy.typing as npt

from pytest_cam.errors import FlatMapError, KeywordError, VacuousError, is_ours, nearest
from pytest_cam.measures import similarity
from pytest_cam.verdicts.findings import Figure
from pytest_cam.verdicts.limits import least, limit_within, most

__tracebackhide__ = is_ours

Mode: TypeAlias = Literal["same-weights", "retrained"]


class LikenessLimits(TypedDict, total=False):
    """Limits in place of a mode's, or beside its rule; None is as if it were not given.

    Attributes:
        cosine: The least cosine that passes, in [0, 1].
        max_difference: The greatest difference in any cell that passes, each map divided by its maximum, in [0, 1].
        emd: The greatest earth mover's distance that passes, as a share of the diagonal, in [0, 1].
        pearson: The least correlation that passes, in [-1, 1].
    """

    cosine: float | None
    max_difference: float | None
    emd: float | None
    pearson: float | None


@dataclass(frozen=True)
class _Measure:
    """One number about two maps: its name and meaning for people, its range, and the side that a limit bounds."""

    name: str
    value: Callable[[npt.ArrayLike, npt.ArrayLike, tuple[float, float] | None], float]
    low: float
    high: float
    side: Literal["at_least", "at_most"]
    meaning: str

    @property
    def passes_all(self) -> float:
        """The limit that any two maps meet."""
        return self.low if self.side == "at_least" else self.high


_MEASURES = {
    "cosine": _Measure(
        "cosine",
        lambda a, b, _: similarity.cosine(a, b),
        *similarity.COSINE_RANGE,
        "at_least",
        "1 where both maps are the same",
    ),
    "max_difference": _Measure(
        "max difference",
        lambda a, b, _: similarity.max_difference(a, b),
        0.0,
        1.0,
        "at_most",
        "the greatest in any cell, each map divided by its maximum",
    ),
    "emd": _Measure("EMD", similarity.emd, 0.0, 1.0, "at_most", "how far attention moved, as a share of the diagonal"),
    "pearson": _Measure(
        "Pearson",
        lambda a, b, _: similarity.pearson(a, b),
        *similarity.PEARSON_RANGE,
        "at_least",
        "the correlation of the maps: 1 for one pattern, 0 for none in common",
    ),
}
# Measured: one set of weights, exported or in another batch, gives cosines of 1.000 and differences of 0.003 to 0.007;
# networks trained anew give an EMD of 0.06 and a Pearson of 0.83 to 0.91; one that takes a shortcut 0.35 and -0.14.
_RULES: dict[str, dict[str, float]] = {
    "same-weights": {"cosine": 0.999, "max_difference": 0.02},
    "retrained": {"emd": 0.15, "pearson": 0.6},
}
TO_HAVE_A_PATTERN = (
    "Take an image and a layer for which the map has one; mode='same-weights' compares values and needs no pattern"
)


def likeness(
    first_map: npt.ArrayLike,
    second_map: npt.ArrayLike,
    mode: Mode,
    extent: tuple[float, float] | None = None,
    limits: Mapping[str, Any] | None = None,
) -> tuple[Figure, ...]:
    """Hold two maps of one image to the rule for what lies between their models.

    "same-weights" is for one network in two forms - exported, quantised, another version of torch: cosine at least
    0.999 and no cell further apart than 0.02. "retrained" is for two networks that should have learnt the same -
    trained again, distilled, pruned: EMD at most 0.15 of the diagonal and Pearson at least 0.6.

    Args:
        first_map: A map (h, w), >= 0, not zero everywhere.
        second_map: Another of the same part of the image; on another grid, both are brought to the finer one.
        mode: Which rule.
        extent: (height, width) of what the maps cover, in any unit of length; None takes cells for square.
        limits: Limits in place of the rule's, or beside them, by name: "cosine" and "pearson" are the least that
            passes, "max_difference" and "emd" the greatest; None leaves the rule as it is.

    Returns:
        One figure for each limit.

    Raises:
        KeywordError: There is no such mode or limit.
        LimitError: A limit is no number, outside of the range of what it bounds, or none of them can fail.
        EmptyMapError: A map is zero everywhere.
        FlatMapError: Both maps are the same everywhere, and are to correlate.
        MapError, NonFiniteError: What is given is no map.
        DependencyError: OpenCV, which measures the EMD, does not import here.
    """
    held, given = rule(mode, limits), {name for name, value in (limits or {}).items() if value is not None}
    # Two maps without a pattern would fail for being no more than equal.
    if held.get("pearson", 0.0) > 0 and similarity.is_flat(first_map) and similarity.is_flat(second_map):
        raise FlatMapError(f"both maps are the same everywhere, so there is no pattern to compare. {TO_HAVE_A_PATTERN}")
    return tuple(
        _figure(_MEASURES[name], first_map, second_map, extent, None if name not in given else held[name], held[name])
        for name in _MEASURES
        if name in held
    )


def rule(mode: str, limits: Mapping[str, Any] | None = None) -> dict[str, float]:
    """Return the limits of a mode by name, some of them replaced; asked before any model runs, for its errors.

    Raises:
        KeywordError: There is no such mode or limit.
        LimitError: A limit is no number, or outside of the range of what it bounds.
        VacuousError: Any two maps would pass.
    """
    if not isinstance(mode, str) or mode not in _RULES:
        raise KeywordError(f"there is no mode {mode!r}. {nearest(mode, get_args(Mode))}")
    held = dict(_RULES[mode])
    for name, value in (limits or {}).items():
        if name not in _MEASURES:
            raise KeywordError(f"there is no limit {name!r} for two maps. {nearest(name, _MEASURES)}")
        if value is not None:
            measure = _MEASURES[name]
            held[name] = limit_within(name, value, measure.name, measure.low, measure.high)
    if all(limit == _MEASURES[name].passes_all for name, limit in held.items()):
        limits_given = " and ".join(f"{name}={limit:g}" for name, limit in held.items())
        raise VacuousError(f"vacuous: with {limits_given} any two maps pass; accepted: at least one that can fail")
    return held


def _figure(
    measure: _Measure,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    extent: tuple[float, float] | None,
    given: float | None,
    default: float,
) -> Figure:
    value = measure.value(first, second, extent)
    return Figure(
        measure.name,
        value,
        least(given, default) if measure.side == "at_least" else most(given, default),
        measure.meaning,
        range=(measure.low, measure.high),
    )
