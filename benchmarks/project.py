"""A user's project in a temporary directory, and pytest run in it as a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks.timing import Contender, Effort, Samples, interleaved

ROOT = Path(__file__).resolve().parent.parent

# The setting that shares torch's threads out among the workers of pytest-xdist: the only place that knows its name.
SHARED_THREADS_FLAG = "--cam-threads"
SHARED_THREADS = (f"{SHARED_THREADS_FLAG}=auto",)


@dataclass(frozen=True)
class Project:
    """A directory with tests."""

    path: Path

    def write(self, **modules: str) -> None:
        """Write Python modules, by their names."""
        for name, source in modules.items():
            (self.path / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")

    def run(self, *args: str) -> str:
        """Run pytest and return what it printed.

        Raises:
            RuntimeError: It did not exit with 0; the text holds the end of what it printed.
        """
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
        # This package's own source, whatever is installed. The workers find it by the same way.
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": paths}
        done = subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            shown = " | ".join((done.stdout + done.stderr).strip().splitlines()[-5:])
            raise RuntimeError(f"pytest {' '.join(args)} exited with {done.returncode}: {shown}")
        return done.stdout


@contextlib.contextmanager
def project() -> Iterator[Project]:
    """Make an empty project that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pytest-cam-benchmark-") as directory:
        path = Path(directory)
        (path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        yield Project(path)


@lru_cache(maxsize=1)
def flags() -> str:
    """Return what `pytest --help` prints: which flags there are."""
    with project() as empty:
        return empty.run("--help")


def has_flag(name: str) -> bool:
    """Return whether pytest takes a flag."""
    return name in flags()


def timed_runs(made: Project, commands: Mapping[str, Sequence[str]], rounds: int, warm_up: int) -> Samples:
    """Return how long whole runs of pytest take, in turns.

    Args:
        made: The project.
        commands: From a name to the flags of its runs.
        rounds: How often each is run.
        warm_up: How many runs of each come first and are not counted.
    """

    def runs(args: Sequence[str]) -> Contender:
        return lambda _: made.run(*args)

    contenders = {name: runs(args) for name, args in commands.items()}
    return interleaved(contenders, lambda: None, Effort(least=rounds, most=rounds, warm_up=warm_up), seconds=0)
