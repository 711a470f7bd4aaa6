"""A folder name for each test: readable, and never the same for two tests."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 80


def folder_name(nodeid: str, index: int) -> str:
    """Return the folder for the index-th artifact of a test: `<slug>-<digest>`, then `<slug>-<digest>-2`, ...

    The slug is for readers and may collide; the digest is of the full node id and does not.

    Args:
        nodeid: The test's full node id.
        index: Counts the artifacts of the test from 0.
    """
    slug = re.sub(r"[^A-Za-z0-9]+", "-", nodeid.replace(".py::", "-")).strip("-").lower()
    digest = hashlib.sha256(nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    name = f"{slug[-_LONGEST:].strip('-') or 'test'}-{digest}"
    return name if index == 0 else f"{name}-{index + 1}"
