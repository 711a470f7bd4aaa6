"""The one place where a verdict falls: numbers within their limits pass, others raise with their evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_cam.errors import AttentionError, is_ours
from pytest_cam.verdicts.collecting import COLLECTING, at_users_line
from pytest_cam.verdicts.findings import AnyEvidence
from pytest_cam.verdicts.limits import Judged
from pytest_cam.verdicts.message import message

__tracebackhide__ = is_ours


def judge(judged: Sequence[Judged], evidence: Callable[[], AnyEvidence]) -> None:
    """Fail unless every value lies within its limits; in a soft block, leave the failure to its end.

    Args:
        judged: The values.
        evidence: Makes what the failure carries; called only where there is one.

    Raises:
        AttentionError: One does not, and no soft block collects it.
    """
    failures = []
    if not all(value.passed for value in judged):
        found = evidence()
        failures.append(AttentionError(message(found), found))
    block = COLLECTING.get()
    if block is not None and block.takes([at_users_line(failure) for failure in failures]):
        return
    for failure in failures:
        raise failure.with_traceback(None)
