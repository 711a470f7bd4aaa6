"""Checks of the options that a method has of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real

import torch

from pytest_cam.errors import MethodError, is_ours

__tracebackhide__ = is_ours


def whole(method: str, option: str, value: object, *, at_most: int | None = None, why: str = "") -> int:
    """Return an option that counts something.

    Args:
        method: The method's name, for the message.
        option: The option's name.
        value: What was given: a whole number from 1.
        at_most: The largest value that is accepted, if there is one.
        why: What bounds the value, for the message.

    Raises:
        MethodError: It is not such a number.
    """
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else 0
    if number < 1 or (at_most is not None and number > at_most):
        accepted = "at least 1" if at_most is None else f"from 1 to {at_most}"
        reason = f" ({why})" if why else ""
        raise MethodError(f"{method}: {option}={value!r}, where a whole number {accepted} is accepted{reason}")
    return number


def real(method: str, option: str, value: object) -> float:
    """Return an option that is a finite number.

    Raises:
        MethodError: It is not.
    """
    return _real(method, option, value, "a finite number", lambda number: True)


def share(method: str, option: str, value: object) -> float:
    """Return an option that is a number between 0 and 1, both left out.

    Raises:
        MethodError: It is not such a number.
    """
    return _real(method, option, value, "a number above 0 and below 1", lambda number: 0 < number < 1)


def positive(method: str, option: str, value: object) -> float:
    """Return an option that is a finite number above 0.

    Raises:
        MethodError: It is not such a number.
    """
    return _real(method, option, value, "a finite number above 0", lambda number: number > 0)


def from_zero(method: str, option: str, value: object) -> float:
    """Return an option that is 0 or a finite number above it.

    Raises:
        MethodError: It is not such a number.
    """
    return _real(method, option, value, "0 or a finite number above it", lambda number: number >= 0)


def within(method: str, option: str, number: float, dtype: torch.dtype) -> float:
    """Return an option that goes among numbers of one type.

    Raises:
        MethodError: It is beyond the greatest of them.
    """
    greatest = torch.finfo(dtype).max
    if abs(number) > greatest:
        raise MethodError(
            f"{method}: {option}={number!r}, where a number from {-greatest:.6g} to {greatest:.6g} is accepted, the "
            f"range of {dtype}"
        )
    return number


def _real(method: str, option: str, value: object, accepted: str, fits: Callable[[float], bool]) -> float:
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and fits(number)):
        raise MethodError(f"{method}: {option}={value!r}, where {accepted} is accepted")
    return number
