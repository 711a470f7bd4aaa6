"""A metric's limits: what they may be, what they are by default, and when they decide nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_cam.errors import LimitError, UnattainableError, VacuousError, is_ours, percent_over
from pytest_cam.measures.localization import METRICS, GridRegion, Metric
from pytest_cam.running import RUNNING

__tracebackhide__ = is_ours

# A positive check in a region larger than this passes for models that look anywhere.
_LARGEST_SHARE = 0.5
# With less than this between chance and ceiling, luck and skill give the same figures.
_LEAST_SPREAD = 0.2
# How far beside its limit a value still passes: maps are float32, and so exact limits would be decided by rounding.
ROUNDING = 1e-6
# Where limits that no call gives come from: the package, or nowhere, while they are being looked for.
BUILT_IN, UNSET = "built in", "unset"
# Where a limit comes from that neither a call nor a limits file sets: without it the check would be another.
FIXED = "the check itself"


@dataclass(frozen=True)
class Limits:
    """The least and the greatest value that passes; None where there is no such limit.

    Attributes:
        at_least: The least.
        at_most: The greatest.
        origin: Where they come from: BUILT_IN, UNSET, FIXED, the name of a limits file, or empty where the call does.
            A limits file takes the place of limits that are BUILT_IN, and of no others.
    """

    at_least: float | None = None
    at_most: float | None = None
    origin: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return the limits in words."""
        parts = [("at least", self.at_least), ("at most", self.at_most)]
        words = " and ".join(f"{words} {value:g}" for words, value in parts if value is not None)
        return f"{words}, limit from {self.origin}" if self.is_agreed else words

    @property
    def source(self) -> str | None:
        """Where they come from, in words; None where there are none."""
        return None if self.at_least is None and self.at_most is None else self.origin or "the call"

    @property
    def is_default(self) -> bool:
        """Whether a limits file may take their place."""
        return self.origin in (BUILT_IN, UNSET)

    @property
    def is_agreed(self) -> bool:
        """Whether a limits file gave them."""
        return bool(self.origin) and not self.is_default and self.origin != FIXED


def least(given: float | None, default: float) -> Limits:
    """Return what is at least what is given, or the built-in default, which a limits file may replace."""
    return Limits(at_least=default, origin=BUILT_IN) if given is None else Limits(at_least=given)


def most(given: float | None, default: float) -> Limits:
    """Return what is at most what is given, or the built-in default, which a limits file may replace."""
    return Limits(at_most=default, origin=BUILT_IN) if given is None else Limits(at_most=given)


class Judged:
    """A value that is held to limits.

    Attributes:
        value: The value.
        limits: What passes; empty where the value was only asked for.
    """

    value: float
    limits: Limits

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest that a limit may be."""
        return -math.inf, math.inf

    @property
    def level(self) -> float | None:
        """The value that says nothing: what chance gives; None where that is not known."""
        return None

    @property
    def margin(self) -> float:
        """How far the value is inside its nearest limit; negative where it is outside; infinite without limits."""
        if math.isnan(self.value):  # which `min` would pass over
            return math.nan
        below = math.inf if self.limits.at_least is None else self.value - self.limits.at_least
        above = math.inf if self.limits.at_most is None else self.limits.at_most - self.value
        return min(below, above)

    @property
    def passed(self) -> bool:
        """Whether the value lies within its limits, but for rounding. A value that is no number does not."""
        return self.margin >= -ROUNDING


IN_REGION = {
    "skill": Limits(at_least=0.25, origin=BUILT_IN),
    "pointing": Limits(at_least=1.0, origin=BUILT_IN),
}
NOT_IN_REGION = {
    "lift": Limits(at_most=1.0, origin=BUILT_IN),
    "skill": Limits(at_most=0.0, origin=BUILT_IN),
    "pointing": Limits(at_most=0.0, origin=BUILT_IN),
}


def limits_for(metric: Metric, at_least: Any, at_most: Any, defaults: dict[str, Limits], check: str = "") -> Limits:
    """Return the limits of a check, checked for sense.

    Args:
        metric: What is measured.
        at_least: The least value that passes, or None.
        at_most: The greatest value that passes, or None.
        defaults: What holds for a metric when neither the call nor the limits file gives any.
        check: What is asked, in words, as the limits file names it.

    Raises:
        LimitError: No limit is given where there is no default, a limit is no number, outside the metric's range, or
            `at_least` is above `at_most`.
    """
    if at_least is None and at_most is None:
        default = defaults.get(metric.name) or _unset(metric, defaults)
        agreed = agreed_limits(RUNNING.checks + 1, check, metric.name, default)
        if agreed is not None:
            return agreed
        if default.origin == UNSET and not RUNNING.is_recording:
            known = ", ".join(f"{name} {limits}" for name, limits in defaults.items())
            give = "at_most=" if default.at_least is None else "at_least= or at_most="
            raise LimitError(
                f"metric {metric.name!r} has no default limit in this check: give {give}. Defaults exist for: {known}"
            )
        return default
    limits = Limits(_number("at_least", at_least, metric), _number("at_most", at_most, metric))
    if limits.at_least is not None and limits.at_most is not None and limits.at_least > limits.at_most:
        raise LimitError(f"at_least={limits.at_least:g} is above at_most={limits.at_most:g}: no value passes")
    return limits


def agreed_limits(number: int, check: str, metric: str, default: Limits) -> Limits | None:
    """Return the limits that the limits file gives for one number of a check of the running test, or None.

    Raises:
        LimitError: It gives a limit on a side on which this check has none.
    """
    agreed = RUNNING.agreed_for(number, check, metric)
    if agreed is None:
        return None
    for side, other in (("at_least", "at_most"), ("at_most", "at_least")):
        if getattr(agreed, side) is not None and getattr(default, side) is None:
            raise LimitError(
                f"{RUNNING.source} gives {side} = {getattr(agreed, side):g} for {RUNNING.test} #{number} "
                f"{RUNNING.named(check)}, {metric}; accepted: {other}, the side that this check limits"
            )
    return Limits(agreed.at_least, agreed.at_most, RUNNING.source)


def _unset(metric: Metric, defaults: dict[str, Limits]) -> Limits:
    """Return limits, on the side on which a check has its others, that pass everything."""
    if any(limits.at_least is not None for limits in defaults.values()):
        return Limits(at_least=metric.low, origin=UNSET)
    return Limits(at_most=metric.high, origin=UNSET)


def _number(name: str, value: Any, metric: Metric) -> float | None:
    return None if value is None else limit_within(name, value, metric.name, metric.low, metric.high)


def as_number(value: Any) -> float | None:
    """Return a limit as a number; None where it is none, as a text or what a comparison gives."""
    try:
        return None if isinstance(value, (bool, np.bool_, str, bytes)) else float(value)
    except (TypeError, ValueError):
        return None


def limit_within(name: str, value: Any, of: str, low: float, high: float) -> float:
    """Return a limit as a number, checked for sense.

    Args:
        name: The keyword that it was given by.
        value: What was given.
        of: What is held to it: "skill", "Pearson".
        low: The least value that it may have.
        high: The greatest.

    Raises:
        LimitError: It is no number, or outside of that range.
    """
    number = as_number(value)
    if number is None:
        raise LimitError(f"{name} is {value!r}; accepted: a number")
    if math.isinf(number) or not low <= number <= high:  # which no NaN is within
        hint = f"; {number:g}% is {number / 100:g}" if high == 1 and 2 <= number <= 100 else ""
        accepted = f"{bound_said(low)} to {bound_said(high)}"
        raise LimitError(f"{name}={number:g} is outside the range of {of}, {accepted}{hint}")
    return number


def fallible_limit(name: str, value: Any, of: str, low: float, high: float) -> float | None:
    """Return a limit as `limit_within` does, after checking that something can fail it; None where none is given.

    Args:
        name: "at_least" or "at_most".
        value: What was given.
        of: What is held to it.
        low: The least value that there is of that.
        high: The greatest.

    Raises:
        LimitError: It is no number, or outside of that range.
        VacuousError: It is the end of the range that everything is on the right side of.
    """
    if value is None:
        return None
    number = limit_within(name, value, of, low, high)
    if number == (low if name == "at_least" else high):
        raise VacuousError(
            f"vacuous: {of} {name.replace('_', ' ')} {number:g} passes whatever the model does, since {of} lies "
            f"between {low:g} and {high:g}"
        )
    return number


def bound_said(value: float) -> str:
    """Return an end of a range in words."""
    return "any number" if math.isinf(value) else f"{value:g}"


def require_spread(metric: Metric, region: GridRegion) -> None:
    """Check that a positive check of this region can tell looking from luck.

    Raises:
        VacuousError: The region is more than half of the input; for a function of the energy, chance and ceiling are
            too close to each other; for the pointing game, most cells hit.
    """
    if region.chance > _LARGEST_SHARE:
        raise VacuousError(
            f"vacuous: the region covers {percent_over(region.chance, _LARGEST_SHARE)} of what the model sees, and "
            "more than half is no test: a model that looks anywhere passes. Give a smaller region"
        )
    if metric is METRICS["pointing"]:
        share = float(region.hits.mean())
        if share > _LARGEST_SHARE:
            raise VacuousError(
                f"vacuous: with its tolerance of {region.tolerance:.0f} input pixels the region is hit from "
                f"{share:.0%} of the map's cells. Give a smaller region, or a layer with a finer grid"
            )
    elif metric.by_energy and region.ceiling - region.chance < _LEAST_SPREAD:
        raise VacuousError(
            f"vacuous: {_grid(region)}, so at best an energy of {region.ceiling:.2f} can lie in this region, and "
            f"chance alone gives {region.chance:.2f}; they must differ by {_LEAST_SPREAD:g}. Take a layer with a finer "
            "grid, or a larger region"
        )


def require_decidable(metric: Metric, limits: Limits, region: GridRegion) -> None:
    """Check that there are maps that pass and maps that fail.

    Raises:
        UnattainableError: No map of this grid can pass.
        VacuousError: No map of this grid can fail.
    """
    low, high = metric.attainable(region)
    if limits.at_least is not None and limits.at_least > high:
        raise UnattainableError(
            f"unattainable: {metric.name} at least {limits.at_least:g}, but {_grid(region)}, and the best possible "
            f"in this region is {high:.2f}. Take a layer with a finer grid, or a lower limit"
        )
    if limits.at_most is not None and limits.at_most < low:
        raise UnattainableError(
            f"unattainable: {metric.name} at most {limits.at_most:g}, but {_grid(region)}, and the least possible "
            f"in this region is {low:.2f}. Take a layer with a finer grid, or a higher limit"
        )
    free_below = limits.at_least is None or limits.at_least <= low
    free_above = limits.at_most is None or limits.at_most >= high
    if free_below and free_above:
        raise VacuousError(
            f"vacuous: {metric.name} {limits} passes whatever the model does, since in this region it lies between "
            f"{low:.2f} and {high:.2f} for every map"
        )


def _grid(region: GridRegion) -> str:
    return f"the map has {region.grid[0]} x {region.grid[1]} cells"
