"""The run and the test that there are now, and what is asked of their checks.

Standard library only, and little of it, so that the plugin may import it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

CheckRecord = dict[str, Any]

# A test's id before "@group": it ends with a name or with its parameters.
_WITH_GROUP = re.compile(r"(.*(?:\]|::[^\[\]@]*))@[^\]]*", re.DOTALL)
# How the parameters begin that plugins give to tests to repeat them; a test may have others of its own with "__".
_REPEATING = ("__pytest_", "__flakefinder_")


class Key(NamedTuple):
    """Which number of which check of a test.

    Attributes:
        test: The test's node id; or its function's, for all its parameters.
        number: Which of the checks of the test it is, from 1; after a subtest, which of those since that ended.
        check: What was asked, in words, and after how many subtests, of the test or of the subtest that it is in.
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


class Running:
    """What a check may ask of the run that it is part of.

    Args:
        test: The node id of the test that runs; empty outside of tests.
        function: That of its function, without parameters.
        source: What the limits file is called.

    Attributes:
        once: The node id that the test has where no plugin repeats it.
        checks: How many verdicts have fallen in it since the last of its subtests ended, or since it began.
        subtests: How many of its subtests have ended, then how many in the one that it is in, and so on inwards.
        is_calibrating: Whether limits are recorded and not applied.
        agreed: What the limits file gives.
        records: What the checks of the test noted, until its last report takes it.
        asked: Which entries of the limits file they asked for, whether it has them or not, until then.
        terminal: The path of the terminal that pytest writes to, and what it writes with; None where there is none.
    """

    def __init__(self, test: str = "", function: str = "", source: str = "") -> None:
        self.is_calibrating = False
        self.agreed: Mapping[Key, Agreed] = {}
        self.source = source
        self.terminal: tuple[str, Any] | None = None
        self.begin(test, function)

    def become(self, other: Running) -> None:
        """Take over all that another one says: a session within a session has its own, and leaves the outer's."""
        vars(self).update(vars(other))

    def begin(self, test: str, function: str, once: str = "") -> None:
        """Begin a test, or another attempt at it."""
        self.test, self.function, self.once, self.checks, self.subtests = test, function, once or test, 0, [0]
        self.records: list[CheckRecord] = []
        self.asked: list[Key] = []

    def begin_subtest(self) -> None:
        """Count the subtests in the one that begins."""
        self.subtests = [*self.subtests, 0]

    def end_subtest(self) -> None:
        """Count the checks anew: how many a subtest that failed left out, with those in it, is not known."""
        self.checks = 0
        *outer, ended = self.subtests[:-1] or self.subtests
        self.subtests = [*outer, ended + 1]

    def end(self) -> None:
        """End the test."""
        self.begin("", "")

    def see_terminal(self, writer: Any) -> None:
        """Note the terminal that pytest writes to, before anything of a test is captured.

        Args:
            writer: What it writes with, a `TerminalWriter`.
        """
        # Windows has no ttyname, and what is a terminal may have no descriptor or no path.
        with suppress(AttributeError, OSError, ValueError):
            self.terminal = os.ttyname(sys.stdout.fileno()), writer

    @property
    def is_recording(self) -> bool:
        """Whether the check that is asked for now is recorded, and not held to its limits."""
        return self.is_calibrating and bool(self.test)

    def named(self, check: str) -> str:
        """Return what is asked now, in words, as the limits file names it."""
        within = list(self.subtests)
        while within and not within[-1]:
            within.pop()
        if not within:
            return check
        *outer, ended = within
        places = "".join(f" of subtest {count + 1}" for count in reversed(outer))
        return f"{check} after {ended} subtest{'' if ended == 1 else 's'}{places}"

    def agreed_for(self, number: int, check: str, metric: str) -> Agreed | None:
        """Return what the limits file gives for one number of a check of the running test, and note that it was asked.

        What is given for the test itself goes before what is given for it where nothing repeats it, and that before
        what is given for all parameters of its function.
        """
        if not self.test:
            return None
        tests = dict.fromkeys((self.test, self.once, self.function))
        keys = [Key(test, number, self.named(check), metric) for test in tests]
        if self.agreed:
            self.asked += keys
        found = [key for key in keys if key in self.agreed]
        return self.agreed[found[0]] if found else None


RUNNING = Running()


class Claiming:
    """The test that may claim baselines now.

    Attributes:
        claimant: Returns that test; None outside of tests.
    """

    def __init__(self) -> None:
        self.claimant: Callable[[], Any] | None = None


CLAIMING = Claiming()


@contextmanager
def outside_of_test() -> Iterator[None]:
    """Leave the test that runs, for checks that are not its own."""
    inside, claimant = (RUNNING.test, RUNNING.function, RUNNING.checks), CLAIMING.claimant
    RUNNING.test, RUNNING.function, CLAIMING.claimant = "", "", None
    try:
        yield
    finally:
        (RUNNING.test, RUNNING.function, RUNNING.checks), CLAIMING.claimant = inside, claimant


@contextmanager
def fixture_of_several(request: Any) -> Iterator[None]:
    """Leave the test that runs while a fixture of several tests is set up, and in all that is called at its end.

    Args:
        request: The fixture's own. pytest adds to it what comes after a `yield`, and users what they like, which they
            may do when the fixture has long been set up. The fixture may also add to its class, module or session.
    """
    request.addfinalizer = _outside(request.addfinalizer)
    before = [(node, node.addfinalizer) for node in request.node.listchain()]
    for node, add_finalizer in before:
        node.addfinalizer = _outside(add_finalizer)
    try:
        with outside_of_test():
            yield
    finally:
        for node, add_finalizer in before:
            node.addfinalizer = add_finalizer


def _outside(add_finalizer: Callable[[Callable[[], object]], None]) -> Callable[[Callable[[], object]], None]:
    return lambda finalizer: add_finalizer(outside_of_test()(finalizer))


class Sharing:
    """The switch of the cache of passes, which is off outside of test sessions.

    Attributes:
        is_on: Whether a pass may be answered from the cache.
        test: The number of the test that runs; with each, what is kept of a model is checked more closely once.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.test = 0


SHARING = Sharing()


def plain_id(nodeid: str, config: Any) -> str:
    """Return a test's id without the group that pytest-xdist adds to it with `--dist loadgroup` before pytest 9.2.

    So that limits and artifacts have the same names however the tests are shared out.

    Args:
        nodeid: The id that pytest gives.
        config: That of the process, a worker or the one that hands out the tests.
    """
    is_grouped = getattr(config.option, "loadgroup", False) or getattr(config.option, "dist", "") == "loadgroup"
    found = _WITH_GROUP.fullmatch(nodeid) if is_grouped else None
    return nodeid if found is None else found[1]


def id_of(node: Any) -> str:
    """Return the id of a test, a class or a module as limits and artifacts name it.

    That is pytest's own, without a group. Of what is outside of the root pytest's does not have the path, so that tests
    of several files may have the same: there it begins with the path from the root.
    """
    given, root = plain_id(node.nodeid, node.config), node.config.rootpath
    if node.path.is_relative_to(root):
        return given
    try:
        file = Path(os.path.relpath(node.path, root))
    except ValueError:  # on another drive
        file = node.path
    within = given.partition("::")[2]
    return sendable(file.as_posix()) + (f"::{within}" if within else "")


def unrepeated(name: str, node: Any) -> str:
    """Return a name or an id of a test without the number that a plugin repeats it by: it is the same test each time.

    Args:
        name: It ends as the test's name does.
        node: The test; a class or a module has no number.
    """
    # Its parameter comes last. pytest has no public name for ids.
    call: Any = getattr(node, "callspec", None)
    ids = getattr(call, "_idlist", ())
    if not ids or not next(reversed(call.params), "").startswith(_REPEATING):
        return name
    before = name.removesuffix(f"{ids[-1]}]")
    return f"{before.removesuffix('-')}]" if before.endswith("-") else before.removesuffix("[")


def begin_test(item: Any) -> None:
    """Say which test runs from now on."""
    name, test = getattr(item, "originalname", None), id_of(item)
    function = f"{id_of(item.parent)}::{name}" if name and item.parent is not None else test
    RUNNING.begin(sendable(test), sendable(function), sendable(unrepeated(test, item)))


def note_id(node: Any, report: Any) -> None:
    """Put on a report the id of its test, where the report's own does not tell."""
    test = id_of(node)
    if test != plain_id(node.nodeid, node.config):
        report.cam_test = test  # a plain text, the way to the controller


def noted_id(report: Any, config: Any) -> str:
    """Return the id of a report's test as limits and artifacts name it.

    Args:
        report: pytest's.
        config: That of the process.
    """
    return getattr(report, "cam_test", None) or plain_id(report.nodeid, config)


def is_in_ci() -> bool:
    """Return whether this is a CI machine: the environment variable CI is set, and does not say that it is none."""
    return os.environ.get("CI", "").strip().lower() not in ("", "0", "false", "no")


def sendable(text: str, encoding: str | None = None) -> str:
    """Return a text that gets through xdist, or to a stream of some encoding: a path may hold what is no UTF-8."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
