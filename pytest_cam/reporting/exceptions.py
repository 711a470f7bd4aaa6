"""The evidence that an exception carries, wherever in it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_cam.errors import CamError
from pytest_cam.verdicts.evidence import Evidence


def evidence_in(error: BaseException) -> list[Evidence]:
    """Return all evidence in an exception, its group members, its cause and its unsuppressed context."""
    found: dict[int, Evidence] = {}
    for link in _links(error, set()):
        if isinstance(link, CamError) and link.evidence is not None:
            found[id(link.evidence)] = link.evidence
    return list(found.values())


def _links(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    # Python 3.10 has no exception groups, but pytest's backport has the same attribute.
    for member in getattr(error, "exceptions", ()):
        if isinstance(member, BaseException):
            yield from _links(member, seen)
    yield from _links(error.__cause__, seen)
    if not error.__suppress_context__:
        yield from _links(error.__context__, seen)
