"""Baselines that are left of test modules which no longer exist. Standard library only."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_cam.baselines.keys import all_baselines_in, module_directory, parts_of


def baselines_of_gone_modules(beside: Path, directory: str) -> list[Path]:
    """Return the baselines, of every variant, whose test module is no longer where it was.

    Only what says itself that it is of such a module is: whatever else lies in a directory of that name is not ours.

    Args:
        beside: Where test modules are.
        directory: The name of the directory there that holds baselines.
    """
    try:
        modules = {module_directory(path, directory) for path in beside.iterdir() if path.is_file()}
        left = [path for path in sorted((beside / directory).iterdir()) if path not in modules]
    except OSError:
        return []
    return [path for each in left for path in all_baselines_in(each) if _is_of_a_gone_module(path, beside, directory)]


def namesake(path: Path, test: str) -> Path | None:
    """Return what is left of a gone module beside this one for a test of the same name, as of one that was renamed.

    Args:
        path: The file of the baseline that there should be.
        test: The test within its module.
    """
    directory = path.parent.parent
    left = baselines_of_gone_modules(directory.parent, directory.name)
    return next((each for each in left if parts_of(each) == parts_of(path) and owner(each)[1] == test), None)


def owner(path: Path) -> tuple[str, str]:
    """Return the file name of the module and the test in it that a baseline says it is of; empty where it does not."""
    try:
        module, _, test = str(json.loads(path.read_text(encoding="utf-8"))["test"]).partition("::")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "", ""
    return module, test


def _is_of_a_gone_module(path: Path, beside: Path, directory: str) -> bool:
    module = beside / owner(path)[0]
    return module != beside and module_directory(module, directory) == path.parent and not module.exists()
