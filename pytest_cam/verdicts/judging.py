"""The one place where a verdict falls: numbers within their limits pass, others raise with their evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

from pytest_cam.errors import AttentionError, BaselineError, CamError, EmptyMapError, FlatMapError, is_ours
from pytest_cam.running import RUNNING
from pytest_cam.verdicts.agreeing import agree, record
from pytest_cam.verdicts.collecting import COLLECTING, at_users_line
from pytest_cam.verdicts.findings import AnyEvidence
from pytest_cam.verdicts.limits import Judged
from pytest_cam.verdicts.message import message

__tracebackhide__ = is_ours

_Value = TypeVar("_Value", bound=Judged)

# What a check finds of the model and its baselines before there is any number.
_FOUND = (EmptyMapError, FlatMapError, BaselineError)


class Asked:
    """A check that is asked: where it ends before there is any number, that too is a verdict.

    `with Asked(attention.evidence):` is around all that follows the map. An empty map or a missing baseline then counts
    as a check, so that those after it keep their numbers in limits files, and a soft block goes on to them. Any other
    error is a question that makes no sense, and passes.

    Args:
        evidence: Makes what such a failure carries, where it has nothing yet.
    """

    def __init__(self, evidence: Callable[[], AnyEvidence]) -> None:
        self._evidence = evidence

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, _FOUND):
            return False
        RUNNING.checks += 1
        if error.evidence is None:
            error.evidence = self._evidence()
        return _is_collected(error)


def judge(check: str, judged: Sequence[_Value], evidence: Callable[[tuple[_Value, ...]], AnyEvidence]) -> None:
    """Fail unless every value lies within its limits; in a soft block, leave the failure to its end.

    A run that calibrates records the values instead; otherwise limits of the run's limits file take the place of those
    that are built in.

    Args:
        check: What was asked, in words.
        judged: The values.
        evidence: Makes what the failure carries, pictures too, of the values with the limits that they were held to;
            called only where there is one.

    Raises:
        AttentionError: One does not, and no soft block collects it.
        LimitError: The limits file gives a limit on a side on which the check has none.
    """
    RUNNING.checks += 1
    failure = _failure(check, judged, evidence)
    if not _is_collected(failure) and failure is not None:
        raise failure.with_traceback(None)


def would_pass(check: str, judged: Sequence[Judged]) -> bool:
    """Return whether every value lies within the limits that the next check holds it to; nothing is judged.

    Args:
        check: What will be asked, in words.
        judged: The values.

    Raises:
        LimitError: As for `judge`.
    """
    return all(value.passed for value in _held(RUNNING.checks + 1, check, judged))


def _is_collected(failure: CamError | None) -> bool:
    """Hand a check and its failure, if it has one, to the soft block that there is; return whether there is one."""
    block = COLLECTING.get()
    return block is not None and block.takes([] if failure is None else [at_users_line(failure)])


def _failure(
    check: str, judged: Sequence[_Value], evidence: Callable[[tuple[_Value, ...]], AnyEvidence]
) -> AttentionError | None:
    held = _held(RUNNING.checks, check, judged)
    if RUNNING.is_recording:
        record(RUNNING.checks, held, check)
        return None
    if all(value.passed for value in held):
        return None
    found = evidence(held)
    return AttentionError(message(found), found)


def _held(number: int, check: str, judged: Sequence[_Value]) -> tuple[_Value, ...]:
    """Return values with the limits that they are held to."""
    if RUNNING.is_recording or (RUNNING.agreed and any(value.limits.is_default for value in judged)):
        return agree(number, check, judged)
    return tuple(judged)
