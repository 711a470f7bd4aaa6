"""The one place where a verdict falls: numbers within their limits pass, others raise with their evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_cam.errors import AttentionError, is_ours
from pytest_cam.running import RUNNING
from pytest_cam.verdicts.agreeing import agree, record
from pytest_cam.verdicts.collecting import COLLECTING, at_users_line
from pytest_cam.verdicts.findings import AnyEvidence
from pytest_cam.verdicts.limits import Judged
from pytest_cam.verdicts.message import message

__tracebackhide__ = is_ours


def judge(judged: Sequence[Judged], evidence: Callable[[], AnyEvidence]) -> None:
    """Fail unless every value lies within its limits; in a soft block, leave the failure to its end.

    A run that calibrates records the values instead; otherwise limits of the run's limits file take the place of those
    that are built in.

    Args:
        judged: The values.
        evidence: Makes what the failure carries; called where there is one, and where the limits file is asked.

    Raises:
        AttentionError: One does not, and no soft block collects it.
        LimitError: The limits file gives a limit on a side on which the check has none.
    """
    RUNNING.checks += 1
    failure = _failure(judged, evidence)
    block = COLLECTING.get()
    if block is not None and block.takes([] if failure is None else [at_users_line(failure)]):
        return
    if failure is not None:
        raise failure.with_traceback(None)


def _failure(judged: Sequence[Judged], evidence: Callable[[], AnyEvidence]) -> AttentionError | None:
    found = None
    if RUNNING.is_recording or (RUNNING.agreed and any(value.limits.is_default for value in judged)):
        judged, found = agree(RUNNING.checks, judged, evidence())
        if RUNNING.is_recording:
            record(RUNNING.checks, judged, found.check)
            return None
    if all(value.passed for value in judged):
        return None
    found = found or evidence()
    return AttentionError(message(found), found)
