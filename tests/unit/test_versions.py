"""Which versions of what made a file."""

from __future__ import annotations

import importlib.metadata
from collections import Counter

import pytest

from pytest_cam import versions


def test_the_version_of_each_library_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: Counter[str] = Counter()

    def read(name: str) -> str:
        reads[name] += 1
        return importlib.metadata.version(name)

    monkeypatch.setattr(versions, "version", read)
    versions._version.cache_clear()

    found = [versions.versions_of(("numpy", "no-such-library")) for _ in range(3)]

    assert found[0]["numpy"] == importlib.metadata.version("numpy")
    assert found[0]["no-such-library"] == "not installed under this name"
    assert found[2] == found[0]
    assert reads == {"numpy": 1, "no-such-library": 1}
