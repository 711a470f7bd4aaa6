"""What may stand in place of a hidden part of an image: names, checked without NumPy and torch."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from pytest_cam.errors import SettingError, is_ours, nearest

__tracebackhide__ = is_ours

Fill: TypeAlias = Literal["blur", "mean", "inpaint"]

FILLS: tuple[str, ...] = get_args(Fill)


def require_fill(fill: Any) -> None:
    """Check the name of a fill.

    Raises:
        SettingError: There is no such fill.
    """
    if fill not in FILLS:
        close = nearest(fill, FILLS)
        accepted = "" if close.startswith("Accepted") else f" Accepted: {', '.join(map(repr, FILLS))}."
        raise SettingError(f"there is no fill {fill!r}. {close}{accepted}")
