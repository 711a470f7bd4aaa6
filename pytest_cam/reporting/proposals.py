"""From what an accepted model's checks measured to the limits that they suggest. Standard library only."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_cam.running import Agreed, CheckRecord, Key

# A limit has three digits; more would change from machine to machine.
_STEPS = 1000
_NOTHING_FAILS = "none: with the margin nothing could fail it"
_IN_THE_CALL = "to go into the call"


@dataclass(frozen=True)
class Proposal:
    """What is proposed for one number of a check.

    Attributes:
        key: Which number of which check; without parameters where it stands for all of them.
        value: The accepted model's value; over parameters, its 5th percentile, or the 95th where less is better.
        present: The limits that it would have been held to, in words.
        agreed: The limits proposed; empty where none is.
        reason: Why none is; or over how many parameters it is one.
        chance: The energy of a map that is the same everywhere, or None.
        ceiling: The most energy that a map can put in the region, or None.
        is_weaker: Whether a value may pass by what is proposed that fails by the present limits.
        is_for_file: Whether the limits file can give it: a limit that the call gives, no file replaces.
    """

    key: Key
    value: float
    present: str
    agreed: Agreed
    reason: str = ""
    chance: float | None = None
    ceiling: float | None = None
    is_weaker: bool = False
    is_for_file: bool = True

    @property
    def is_made(self) -> bool:
        """Whether there is a limit to write to the limits file."""
        return self.agreed != Agreed() and self.is_for_file


def key_of(record: CheckRecord) -> Key:
    """Return which number of which check a record is of."""
    return Key(record["test"], record["number"], record["check"], record["metric"])


def propose(record: CheckRecord, margin: float) -> Proposal:
    """Propose limits for one number of a check.

    Args:
        record: What the check noted.
        margin: The share of the way from chance to ceiling that is left between value and limit.
    """
    value, chance, ceiling = record["value"], record["chance"], record["ceiling"]
    slack = margin * _scale(record)
    agreed, reason = _limits(record, (value, value), (value - slack, value + slack), record["level"])
    weaker, in_call = _is_weaker(agreed, [record]), record["giver"] == "call"
    reason = reason or (_IN_THE_CALL if in_call else "")
    return Proposal(key_of(record), value, record["present"], agreed, reason, chance, ceiling, weaker, not in_call)


def propose_over_parameters(records: Iterable[CheckRecord], margin: float) -> list[Proposal]:
    """Propose one limit for all parameters of each test function that has several: a percentile less the margin."""
    groups: dict[Key, list[CheckRecord]] = {}
    for record in records:
        if record["test"] != record["function"]:
            groups.setdefault(key_of(record)._replace(test=record["function"]), []).append(record)
    return [_over(key, group, margin) for key, group in sorted(groups.items()) if len(group) > 1]


def _over(key: Key, group: list[CheckRecord], margin: float) -> Proposal:
    first = group[0]
    told = f"of {len(group)} parameters"
    present = first["present"] if len({record["present"] for record in group}) == 1 else "various"
    if not all(math.isfinite(record["value"]) for record in group) or any(
        record["sides"] != first["sides"] for record in group
    ):
        return Proposal(key, math.nan, present, Agreed(), f"{told}: one is not a number, or asks for another side")
    values = [record["value"] for record in group]
    slacks = [margin * _scale(record) for record in group]
    # The margin of each is taken before the percentile, since its scale may differ from region to region.
    low = _percentiles([value - slack for value, slack in zip(values, slacks, strict=True)])[0]
    high = _percentiles([value + slack for value, slack in zip(values, slacks, strict=True)])[-1]
    inner = _percentiles(values)[0], _percentiles(values)[-1]
    levels = [record["level"] for record in group if record["level"] is not None]
    worst = (max if first["sides"] == ["at_least"] else min)(levels) if levels else None
    agreed, reason = _limits(first, inner, (low, high), worst)
    value = inner[0] if "at_least" in first["sides"] else inner[1]
    in_call = any(record["giver"] == "call" for record in group)
    told += f": {reason}" if reason else f", {_IN_THE_CALL}" if in_call else ""
    return Proposal(key, value, present, agreed, told, is_weaker=_is_weaker(agreed, group), is_for_file=not in_call)


def _percentiles(values: list[float]) -> list[float]:
    """Return the 5th, 10th, ... 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")


def _limits(
    record: CheckRecord, measured: tuple[float, float], slackened: tuple[float, float], level: float | None
) -> tuple[Agreed, str]:
    """Return the limits on the sides that the check has; or none, and why.

    Args:
        record: The check.
        measured: The least and the greatest value of the accepted model.
        slackened: These with the margin.
        level: What chance gives, or None.
    """
    if not all(map(math.isfinite, (*measured, *slackened))):
        return Agreed(), "none: the value is not a number"
    if record["giver"] == "check":
        return Agreed(), "none: without its own limit this would be another check"
    low, high = record["range"]
    at_least, at_most = max(_down(slackened[0]), low), min(_up(slackened[1]), high)
    if len(record["sides"]) > 1:
        return Agreed(at_least, at_most), ""
    if record["sides"] == ["at_least"]:
        if record["metric"] == "pointing":
            return (Agreed(1.0), "") if measured[0] == 1 else (Agreed(), "none: the peak misses the region")
        if level is not None and at_least <= level:
            return Agreed(), f"none: less the margin it is no better than chance, {level:.2f}"
        return (Agreed(), _NOTHING_FAILS) if at_least <= low else (Agreed(at_least), "")
    if record["metric"] == "pointing":
        return (Agreed(None, 0.0), "") if measured[1] == 0 else (Agreed(), "none: the peak lies in the region")
    if level is not None and round(measured[1] - level, 6) > 0:  # more than rounding makes of chance
        return Agreed(), f"none: it is more than chance, {level:.2f}"
    at_most = at_most if level is None else min(at_most, _up(level))
    return (Agreed(), _NOTHING_FAILS) if at_most >= high else (Agreed(None, at_most), "")


def _is_weaker(agreed: Agreed, records: list[CheckRecord]) -> bool:
    """Return whether limits let more pass than those that some check is held to now."""
    least, most = zip(*(record["held"] for record in records), strict=True)
    return (agreed.at_least is not None and any(each is not None and agreed.at_least < each for each in least)) or (
        agreed.at_most is not None and any(each is not None and agreed.at_most > each for each in most)
    )


def _scale(record: CheckRecord) -> float:
    """Return how far it is from chance to ceiling in the metric's own unit."""
    metric, chance, ceiling = record["metric"], record["chance"], record["ceiling"]
    if metric == "pointing":
        return 0.0  # it has two values, and a limit is one of them
    if chance is None or ceiling is None or metric not in ("energy", "lift"):
        return 1.0
    spread: float = ceiling - chance
    return spread / float(chance) if metric == "lift" else spread


def _down(value: float) -> float:
    return math.floor(round(value * _STEPS, 6)) / _STEPS


def _up(value: float) -> float:
    return 0.0 - _down(-value)
