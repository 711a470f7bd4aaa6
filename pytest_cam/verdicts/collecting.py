"""Failed checks that are collected, to be raised together."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from threading import Lock
from types import TracebackType

from pytest_cam.errors import CamError, CollectedAttentionError, users_frame
from pytest_cam.verdicts.message import short_path


class Collection:
    """The checks of one soft block.

    Threads may share one. It closes with its block: a check that comes later raises as if there had been no block.

    Attributes:
        checks: How many checks ran.
        failures: What the failed ones would have raised, in the order in which they ran.
    """

    def __init__(self) -> None:
        self.checks = 0
        self.failures: list[CamError] = []
        self._is_open = True
        self._lock = Lock()

    def takes(self, failures: Iterable[CamError], checks: int = 1) -> bool:
        """Take over checks and what of them failed; return whether the block still stood open for them."""
        with self._lock:
            if self._is_open:
                self.checks += checks
                self.failures += failures
            return self._is_open

    def close(self) -> None:
        """Take no more."""
        with self._lock:
            self._is_open = False

    def together(self) -> CamError | None:
        """Return what the block raises: nothing, its one failure as it is, or all of them in one."""
        if len(self.failures) < 2:
            return self.failures[0] if self.failures else None
        decisions = "; ".join(str(failure).partition("\n")[0] for failure in self.failures)
        texts = [f"({number}) {_line(failure)}{failure}" for number, failure in enumerate(self.failures, 1)]
        head = f"{len(self.failures)} of {self.checks} attention checks failed: {decisions}"
        return CollectedAttentionError("\n\n".join([head, *texts]), self.failures)


COLLECTING: ContextVar[Collection | None] = ContextVar("pytest_cam_collecting", default=None)


def at_users_line(failure: CamError) -> CamError:
    """Give a failure that is not raised yet the traceback that ends where the user asked for the check."""
    frame = users_frame()
    return failure.with_traceback(TracebackType(None, frame, frame.f_lasti, frame.f_lineno))


def _line(failure: CamError) -> str:
    where = failure.__traceback__
    if where is None:
        return ""
    return f"{short_path(where.tb_frame.f_code.co_filename)}:{where.tb_lineno}: "
