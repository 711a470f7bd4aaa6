"""Which test runs, and which baselines it and others claim. Standard library only."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from pytest_cam.baselines.gone import Leftovers
from pytest_cam.baselines.keys import file_name, is_variant, module_directory
from pytest_cam.errors import BaselineError, is_ours
from pytest_cam.running import CLAIMING

__tracebackhide__ = is_ours

Update: TypeAlias = Literal["missing", "changed", "all"]
# What became of a baseline, for the summary: (its path, what was done, the distance or the reason).
Note: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True)
class BaselineSettings:
    """What a run says of baselines.

    Attributes:
        directory: The name of the directory beside each test module.
        root: The project's root, outside of which nothing is written.
        start: Where pytest was started, which paths and commands are relative to.
        update: Which baselines are written, or None.
    """

    directory: str
    root: Path
    start: Path
    update: Update | None


class Claims:
    """Which test claims which baseline, of all tests of one process."""

    def __init__(self) -> None:
        self._owners: dict[Path, str] = {}
        # By test, since each test that begins forgets its own: a look at every claim would take longer with each.
        self._paths: dict[str, list[Path]] = {}

    def owner_of(self, path: Path) -> str | None:
        """Return the node id of the test that claims a baseline, or None."""
        return self._owners.get(path)

    def add(self, path: Path, test: str) -> None:
        """Let a test have a baseline that none claims."""
        self._owners[path] = test
        self._paths.setdefault(test, []).append(path)

    def forget(self, test: str) -> None:
        """Take a test's claims back."""
        for path in self._paths.pop(test, ()):
            del self._owners[path]


@dataclass
class RunningTest:
    """A test that runs, as far as baselines are concerned.

    Attributes:
        nodeid: The test, as pytest names it.
        module: The file that it is in.
        name: The test within its module: "TestDogs::test_looks[3]".
        settings: What the run says.
        ask_variant: Asks the project's hook for the variant.
        claims: Those of all tests of this process.
        leftovers: What else may be the baseline that it misses.
        tests: Which tests the module has, with each class that was not looked into; empty where that is not known.
        claimed: What this attempt of the test claims, and has not yet reported.
        notes: What became of those, and is not yet reported.
    """

    nodeid: str
    module: Path
    name: str
    settings: BaselineSettings
    ask_variant: Callable[[], object]
    claims: Claims
    leftovers: Leftovers = field(default_factory=Leftovers)
    tests: Collection[str] = ()
    claimed: list[Path] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def begin_attempt(self) -> None:
        """Forget what an earlier attempt of this test claims; a rerun claims it again."""
        self.claims.forget(self.nodeid)

    def claim(self, name: str | None) -> Path:
        """Return the file of a baseline, which from now on is this test's.

        Args:
            name: The baseline's own name, or None for the test's.

        Raises:
            BaselineError: Another test claims it, or this one twice; or it would lie outside of the project's root.
        """
        directory = self._directory()
        path = directory / file_name(self.module, self.name, name, variant_from(self.ask_variant()))
        owner = self.claims.owner_of(path)
        if owner == self.nodeid:
            called = "without a name" if name is None else f"with the name {name!r}"
            raise BaselineError(
                f"this test compares with one baseline twice ({called}), and the second would be held to the first's "
                "map; accepted: another name= for each"
            )
        if owner is not None:
            raise BaselineError(two_claims(self.shown(path), owner, self.nodeid))
        self.claims.add(path, self.nodeid)
        self.claimed.append(path)
        return path

    @property
    def recorded(self) -> str:
        """The test as its baselines name it: "test_dogs.py::TestDogs::test_looks[3]"."""
        return f"{self.module.name}::{self.name}"

    def command(self, update: Update) -> str:
        """Return what is to be typed, where pytest was started, to write this test's baselines."""
        return f"pytest {_quoted(f'{self.shown(self.module)}::{self.name}')} --cam-update={update}"

    def shown(self, path: Path) -> str:
        """Return a path relative to where pytest was started, with forward slashes."""
        return shown(path, self.settings.start)

    def _directory(self) -> Path:
        directory = module_directory(self.module, self.settings.directory)
        root = self.settings.root.resolve()
        if not directory.resolve().is_relative_to(root):
            raise BaselineError(
                f"the baselines of {self.module.name} would be in {directory.resolve()}, outside of the project's root "
                f"{root}; accepted: a directory below it. Is the module, or a link to the directory, outside? "
                "pytest's --rootdir says where the root is"
            )
        return directory


def running_test(verb: str) -> RunningTest:
    """Return the test that runs.

    Raises:
        BaselineError: None does.
    """
    if CLAIMING.claimant is None:
        raise BaselineError(
            f"{verb} was called outside of a test, or in a fixture that several tests share, so there is no test whose "
            "baseline it could be; accepted: a call from a test or a fixture of scope 'function', with the plugin "
            "pytest-cam active. Outside of one, Attention.compare(other) compares two maps"
        )
    test: RunningTest = CLAIMING.claimant()
    return test


def variant_from(answer: object) -> str | None:
    """Return the variant from what the project's hook answers.

    Raises:
        BaselineError: It cannot be part of a file name.
    """
    if not is_variant(answer):
        raise BaselineError(
            f"pytest_cam_baseline_variant returned {answer!r}; accepted: None, or up to 60 letters, digits, dashes and "
            "underscores, such as 'linux-cuda'"
        )
    return answer  # type: ignore[return-value]  # a text or None


def two_claims(path: str, one: str, other: str) -> str:
    """Return what is wrong where two tests claim one baseline."""
    return (
        f"two tests claim the baseline {path}: {one} and {other}; accepted: one each. Leave name= out, or make it "
        "differ, with the parameter in it where the tests are one function's"
    )


def _quoted(argument: str) -> str:
    quoted = shlex.quote(argument)
    # The shells of Windows have no quotes but double ones in common.
    return f'"{argument}"' if sys.platform == "win32" and quoted != argument else quoted


def shown(path: Path, start: Path) -> str:
    """Return a path relative to a directory, with forward slashes."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # on another drive
        return path.as_posix()
