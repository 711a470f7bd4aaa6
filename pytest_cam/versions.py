"""Which versions of what made a file."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version


def versions_of(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of some libraries, by the names under which they are installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in libraries}}


@cache  # each is in a file of its own, and each baseline and each artifact asks for several
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed under this name"
