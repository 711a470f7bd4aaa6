"""Baselines that are left of test modules, and of tests, which no longer exist. Standard library only."""

from __future__ import annotations

import difflib
import json
import re
from bisect import bisect
from collections.abc import Collection
from pathlib import Path

from pytest_cam.baselines.keys import all_baselines_in, baselines_in, file_name, module_directory, parts_of

# Of how many names it is told exactly which one is most like another: that takes a tenth of a millisecond for each.
_MOST = 50


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


class _Gone:
    """The baselines of tests that a module no longer has.

    Args:
        paths: By test, in the order of their names.
    """

    def __init__(self, paths: dict[str, Path]) -> None:
        self._paths, self._tests = paths, list(paths)
        self._alike: dict[str, list[str]] = {}
        for test in paths:
            self._alike.setdefault(_parameters(test), []).append(test)

    def nearest(self, test: str) -> Path | None:
        """Return that of the test with the name most like another one's, or None without any."""
        found = difflib.get_close_matches(test, self._likely(test), n=1, cutoff=0)
        return self._paths[found[0]] if found else None

    def _likely(self, test: str) -> list[str]:
        """Return, of many, those with the same parameters, else those that are near in the alphabet."""
        if len(self._tests) <= _MOST:
            return self._tests
        alike = self._alike.get(_parameters(test), []) if _parameters(test) else []
        start = max(0, bisect(self._tests, test) - _MOST // 2)
        return alike[:_MOST] or self._tests[start : start + _MOST]


class Leftovers:
    """What may be the baseline that a test misses, after a rename. Looked for once in a session: each test may ask."""

    def __init__(self) -> None:
        self._of_modules: dict[Path, dict[tuple[tuple[str, str | None], str], Path]] = {}
        self._of_tests: dict[tuple[Path, str | None], _Gone] = {}

    def namesake(self, path: Path, test: str) -> Path | None:
        """Return what is left of a gone module beside this one for a test of the same name, as of one that was renamed.

        Args:
            path: The file of the baseline that there should be.
            test: The test within its module.
        """
        directory = path.parent.parent
        if directory not in self._of_modules:
            left = baselines_of_gone_modules(directory.parent, directory.name)
            self._of_modules[directory] = {(parts_of(each), owner(each)[1]): each for each in reversed(left)}
        return self._of_modules[directory].get((parts_of(path), test))

    def former(self, path: Path, module: Path, test: str, tests: Collection[str]) -> Path | None:
        """Return what is left of a test that the module no longer has; of several, that of the name most like this one.

        Baselines with a name of their own may be those of any test.

        Args:
            path: The file of the baseline that there should be.
            module: The module's file.
            test: The test within it.
            tests: Which tests it has, with each class that was not looked into; empty where that is not known.
        """
        variant = parts_of(path)[1]
        if (module, variant) not in self._of_tests:
            found = _of_gone_tests(path.parent, module, tests, variant) if tests else {}
            self._of_tests[module, variant] = _Gone(found)
        return self._of_tests[module, variant].nearest(test)


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


def _of_gone_tests(directory: Path, module: Path, tests: Collection[str], variant: str | None) -> dict[str, Path]:
    """Return the baselines of tests that the module no longer has, by test in the order of their names."""
    claimed = {file_name(module, each, None, variant) for each in tests}
    owners = {path: owner(path)[1] for path in baselines_in(directory, variant) if path.name not in claimed}
    gone = {test: path for path, test in owners.items() if path.name == file_name(module, test, None, variant)}
    return {test: gone[test] for test in sorted(gone) if not _classes_of(test).intersection(tests)}


def _classes_of(test: str) -> set[str]:
    return {test[: found.start()] for found in re.finditer("::", test)}


def _parameters(test: str) -> str:
    return test.partition("[")[2]
