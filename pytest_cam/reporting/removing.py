"""The removal of artifacts that say nothing any more, and of nothing that others wrote. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from pytest_cam.reporting.naming import folder_name
from pytest_cam.running import sendable

MANIFEST = "attention.json"


def remove_artifact(folder: Path) -> None:
    """Remove an artifact: the files that it says it has, and the folder if nothing else is in it."""
    if not folder.is_dir():
        return
    # What says that it is an artifact goes last: where one file cannot be removed, the next run tries again.
    for name in (*(files_in(folder) - {MANIFEST}), MANIFEST):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def remove_earlier(directory: Path, tests: Iterable[str], kept: Collection[str]) -> tuple[int, list[OSError]]:
    """Remove what earlier runs left of tests that ran again.

    Args:
        directory: The artifacts directory.
        tests: The node ids of those tests.
        kept: The folders of this run, as reports name them.

    Returns:
        How many artifacts that were, and why others could not be removed.
    """
    names, count = {folder_name(test, 0): test for test in tests}, 0
    errors: list[OSError] = []
    for folder in directory.iterdir():
        # The second artifact of a test has "-2" after its name.
        name = folder.name if folder.name in names else folder.name.rpartition("-")[0]
        if name not in names or sendable(str(folder)) in kept or folder.is_symlink():
            continue
        if _manifest(folder).get("test") == names[name]:
            try:
                remove_artifact(folder)
                count += 1
            except OSError as error:
                errors.append(error)
    return count, errors


def files_in(folder: Path) -> set[str]:
    """Return the names of the files that an artifact says it has; none where there is no artifact."""
    files = _manifest(folder).get("files")
    names = [name for name in files if isinstance(name, str)] if isinstance(files, list) else []
    return {name for name in names if Path(name).name == name}


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
