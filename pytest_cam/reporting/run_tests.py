"""Which tests of a run are those that a limits file or a baseline names. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DELIMITERS = re.compile(r"[\[\]-]")


class RunTests:
    """The tests of a run, which what repeats tests may have given further parameters.

    They are kept by what their parameters are made of: a run may have thousands, and thousands may be looked for.

    Args:
        tests: Their names.
    """

    def __init__(self, tests: Iterable[str]) -> None:
        self._tests = set(tests)
        self._alike: dict[tuple[str, str], list[str]] = {}
        for test in self._tests:
            function, bracket, parameters = test.partition("[")
            for part in {"", *_DELIMITERS.split(parameters)} if bracket else ():
                self._alike.setdefault((function, part), []).append(test)

    def include(self, test: str) -> bool:
        """Return whether a test, named in the same way, is one of these, or may be run as one.

        Args:
            test: The test as a limits file or a baseline names it.
        """
        return test in self._tests or any(_may_be_run_as(test, other) for other in self._likely(test))

    def _likely(self, test: str) -> list[str]:
        """Return those with the least frequent of those parts of a test's parameters that all of them must have."""
        function, last = test.partition("[")[0], test.removesuffix("]").rpartition("[")
        parts = _DELIMITERS.split(last[2]) if last[1] else [""]
        return min((self._alike.get((function, part), []) for part in parts), key=len)


def without_parameters(tests: Iterable[str]) -> set[str]:
    """Return what entries for all parameters of these tests may be named; a parameter may hold a bracket, too."""
    return {test[: found.start()] for test in tests for found in re.finditer(r"\[", test)}


def _may_be_run_as(test: str, other: str) -> bool:
    if other.startswith(f"{test}["):
        return True
    starts = (index for index, letter in enumerate(test, 1) if letter == "[")
    return test.endswith("]") and any(
        other.startswith(test[:start]) and f"-{test[start:-1]}-" in f"-{other[start:-1]}-" for start in starts
    )
