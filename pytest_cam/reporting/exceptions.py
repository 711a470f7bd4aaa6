"""The evidence that an exception carries, wherever in it. Standard library only: it is asked of every failure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_cam.errors import AttentionError, CamError

if TYPE_CHECKING:
    from pytest_cam.verdicts.findings import AnyEvidence


def evidence_in(error: BaseException) -> list[AnyEvidence]:
    """Return all evidence in an exception, its members, its cause and its unsuppressed context.

    That of an error which is no verdict, such as a missing baseline, says what the error says.
    """
    found: dict[int, AnyEvidence] = {}
    for link in _links(error):
        if isinstance(link, CamError) and link.evidence is not None:
            found[id(link.evidence)] = _told_by(link)
    return list(found.values())


def _told_by(error: CamError) -> AnyEvidence:
    evidence: AnyEvidence = error.evidence
    if isinstance(error, AttentionError):
        return evidence
    return replace(evidence, problem=str(error).partition("\n")[0])


def _links(error: BaseException) -> Iterator[BaseException]:
    # A loop, not a recursion: a chain may be as long as the retries that made it, and may lead back to itself.
    waiting, seen = [error], set[int]()
    while waiting:
        link = waiting.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        context = None if link.__suppress_context__ else link.__context__
        further = [*_members(link), link.__cause__, context]
        waiting += [other for other in reversed(further) if other is not None]


def _members(error: BaseException) -> list[BaseException]:
    """Return what a group holds, the failures of a doctest that goes on after them, and what an example raised."""
    # By their attributes: Python 3.10 has no exception groups, but the backport that pytest uses is like them, and
    # pytest's own error of several doctests has no public name. Others may have such attributes, with anything in them.
    holders = (getattr(error, name, ()) for name in ("exceptions", "failures", "exc_info"))
    members = (member for holder in holders if isinstance(holder, (tuple, list)) for member in holder)
    return [member for member in members if isinstance(member, BaseException)]
