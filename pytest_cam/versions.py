"""Which versions of what made a file."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def versions_of(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of some libraries, by the names under which they are installed."""
    versions = {"python": platform.python_version()}
    for name in libraries:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed under this name"
    return versions
