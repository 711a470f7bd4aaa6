"""The test that runs now, and what is asked of its checks.

Standard library only, so that the plugin may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

CheckRecord = dict[str, Any]


class Key(NamedTuple):
    """Which number of which check of a test.

    Attributes:
        test: The test's node id; or its function's, for all its parameters.
        number: Which of the checks of the test it is, from 1.
        check: What was asked, in words.
        metric: The number's name.
    """

    test: str
    number: int
    check: str
    metric: str

    def __str__(self) -> str:
        """Return it as tables and messages name it."""
        return f"{self.test} #{self.number} {self.check}, {self.metric}"


class Agreed(NamedTuple):
    """The limits of one check that the limits file gives."""

    at_least: float | None = None
    at_most: float | None = None


@dataclass
class Running:
    """What a check may ask of the run that it is part of.

    Attributes:
        test: The node id of the test that runs; empty outside of tests.
        function: That of its function, without parameters.
        checks: How many verdicts have fallen in it.
        is_calibrating: Whether limits are recorded and not applied.
        agreed: What the limits file gives.
        source: What that file is called.
        records: What the checks of the test noted, until a report takes it.
        asked: Which entries of the limits file they asked for, until a report takes it.
    """

    test: str = ""
    function: str = ""
    checks: int = 0
    is_calibrating: bool = False
    agreed: Mapping[Key, Agreed] = field(default_factory=dict)
    source: str = ""
    records: list[CheckRecord] = field(default_factory=list)
    asked: list[Key] = field(default_factory=list)

    def become(self, other: Running) -> None:
        """Take over all that another one says: a session within a session has its own, and leaves the outer's."""
        vars(self).update(vars(other))

    def begin(self, test: str, function: str) -> None:
        """Begin a test, or another attempt at it."""
        self.test, self.function, self.checks = test, function, 0
        self.records, self.asked = [], []

    def end(self) -> None:
        """End the test."""
        self.begin("", "")

    @property
    def is_recording(self) -> bool:
        """Whether the check that is asked for now is recorded, and not held to its limits."""
        return self.is_calibrating and bool(self.test)

    def agreed_for(self, number: int, check: str, metric: str) -> Agreed | None:
        """Return what the limits file gives for one number of a check of the running test, and note that it was asked.

        What is given for the test itself goes before what is given for all parameters of its function.
        """
        if not self.test:
            return None
        keys = [Key(test, number, check, metric) for test in dict.fromkeys((self.test, self.function))]
        found = [key for key in keys if key in self.agreed]
        self.asked += found
        return self.agreed[found[0]] if found else None


RUNNING = Running()


def sendable(text: str) -> str:
    """Return a text that gets through xdist: a path may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
