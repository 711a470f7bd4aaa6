"""Baselines that are left of test modules, and of tests, which no longer exist. Standard library only."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection
from pathlib import Path

from pytest_cam.baselines.keys import all_baselines_in, baselines_in, file_name, module_directory, parts_of


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


def former(path: Path, module: Path, test: str, tests: Collection[str]) -> Path | None:
    """Return what is left of a test that the module no longer has, of several that with the name most like this one's.

    Baselines with a name of their own may be those of any test.

    Args:
        path: The file of the baseline that there should be.
        module: The module's file.
        test: The test within it.
        tests: Which tests it has, with each class that was not looked into; empty where that is not known.
    """
    variant = parts_of(path)[1]
    claimed = {file_name(module, each, None, variant) for each in tests}
    left = [each for each in baselines_in(path.parent, variant) if tests and each.name not in claimed]
    names = {owner(each)[1]: each for each in left if each.name == file_name(module, owner(each)[1], None, variant)}
    gone = [name for name in names if not any(name.startswith(f"{each}::") for each in tests)]
    nearest = difflib.get_close_matches(test, gone, n=1, cutoff=0)
    return names[nearest[0]] if nearest else None


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
