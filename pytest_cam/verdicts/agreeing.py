"""Limits that are agreed on in a file: put in place of built-in ones, and recorded where they are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from pytest_cam.errors import LimitError, VacuousError, is_ours
from pytest_cam.running import RUNNING, CheckRecord, sendable
from pytest_cam.verdicts.evidence import Measurement
from pytest_cam.verdicts.limits import FIXED, UNSET, Judged, Limits, agreed_limits, bound_said

__tracebackhide__ = is_ours

_Value = TypeVar("_Value", bound=Judged)


def agree(number: int, check: str, judged: Sequence[_Value]) -> tuple[_Value, ...]:
    """Return values with the limits of the limits file in place of those that are built in.

    Args:
        number: Which check of the running test it is, from 1.
        check: What was asked, in words.
        judged: The values.
    """
    return tuple(_agreed(number, check, *named) for named in zip(_names(judged), judged, strict=True))


def record(number: int, judged: Sequence[Judged], check: str) -> None:
    """Note the values of a check and the limits that they would have been held to."""
    for name, value in zip(_names(judged), judged, strict=True):
        sides = [side for side in ("at_least", "at_most") if getattr(value.limits, side) is not None]
        if sides:
            RUNNING.records.append(_record(number, check, name, value, sides))


def _record(number: int, check: str, name: str, value: Judged, sides: list[str]) -> CheckRecord:
    limits, is_unset = value.limits, value.limits.origin == UNSET
    return {
        "test": RUNNING.test,
        "function": RUNNING.function,
        "number": number,
        "check": sendable(RUNNING.named(check)),
        "metric": sendable(name),
        "value": float(value.value),
        "sides": sides,
        "present": "none" if is_unset else sendable(str(limits)),
        "held": [None, None] if is_unset else [limits.at_least, limits.at_most],
        # Who gives the limit; only what the package or the file gives may be another one in the file.
        "giver": "file" if limits.is_default or limits.is_agreed else "check" if limits.origin == FIXED else "call",
        "range": list(map(float, value.range)),
        "level": None if value.level is None else float(value.level),
        "chance": float(value.chance) if isinstance(value, Measurement) else None,
        "ceiling": float(value.ceiling) if isinstance(value, Measurement) else None,
    }


def _agreed(number: int, check: str, name: str, value: _Value) -> _Value:
    limits = agreed_limits(number, check, name, value.limits) if value.limits.is_default else None
    if limits is None:
        return value
    require_fallible(limits, value, name)
    return replace(value, limits=limits)  # type: ignore[type-var]  # every one is a dataclass


def require_fallible(limits: Limits, value: Judged, name: str) -> None:
    """Check that limits of the limits file lie in the range of the number that they are for, and can fail it.

    Args:
        limits: The limits.
        value: The number.
        name: What it is called.

    Raises:
        LimitError: One lies outside.
        VacuousError: Nothing could fail them.
    """
    low, high = value.range
    for side, limit in (("at_least", limits.at_least), ("at_most", limits.at_most)):
        if limit is not None and not low <= limit <= high:
            raise LimitError(
                f"{limits.origin} gives {side} = {limit:g} for {name}, which is outside its range, "
                f"{bound_said(low)} to {bound_said(high)}"
            )
    if (limits.at_least is None or limits.at_least == low) and (limits.at_most is None or limits.at_most == high):
        raise VacuousError(f"vacuous: {name} {limits} passes whatever the model does")


def _names(judged: Sequence[Judged]) -> list[str]:
    """Return what each number is called; a name that comes again is numbered."""
    names: list[str] = []
    for value in judged:
        name = value.metric if isinstance(value, Measurement) else str(getattr(value, "name", "value"))
        again = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names
