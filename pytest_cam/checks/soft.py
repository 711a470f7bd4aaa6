"""Several checks, all of which run, and whose failures are raised together."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from pytest_cam.errors import CamError, VacuousError, is_ours
from pytest_cam.verdicts.collecting import COLLECTING, Collection

__tracebackhide__ = is_ours


def soft() -> Soft:
    """Collect failures of several checks and raise them together.

    Returns:
        What `with` takes. In its block a check that fails returns as if it had passed, be it a function, a verb of
        `cam` or a method of an `Attention`. A map that is zero, or the same, everywhere and a baseline that is missing,
        damaged or of something else are failures, too; what such a check would have measured is then empty, NaN or an
        EmptyMapError when it is asked for. Raised at once are questions that make no sense, such as a region outside
        of the image, and models of which there is no map, such as one that gives NaN. At the block's end one failure
        is raised as it is, several as one `CollectedAttentionError`. A block in a block hands its failures on to the
        outer one. An error that leaves the block stays what it is, and carries the failures until then as its
        context; `pytest.skip()` after a failure skips nothing, and closing a generator in the block hides nothing.

        A thread that is started in the block is not part of it, and its checks raise there, where pytest only warns of
        them. It is where it runs in the block's context: `executor.submit(contextvars.copy_context().run, check)`.

    Raises:
        CollectedAttentionError: Several checks failed; of one that did, its own error.
        VacuousError: No check ran in the block.

    Example:
        >>> import torch
        >>> from pytest_cam import attend, soft
        >>> model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        >>> image = torch.zeros(1, 8, 8)
        >>> image[:, 2:6, 2:6] = 1.0
        >>> attention = attend(model, image, layer="0", method="gradcam")
        >>> with soft() as block:
        ...     attention.assert_in_region((2, 2, 6, 6))
        ...     attention.assert_not_in_region((7, 7, 8, 8))
        >>> block.checks, block.failures
        (2, ())
    """
    return Soft()


class Soft:
    """A block whose checks all run; `soft()` makes one."""

    def __init__(self) -> None:
        self._collection = Collection()
        # One for each time that the block was entered and not left yet: a block may call what enters it again.
        self._outside: list[tuple[Collection, Collection | None]] = []

    @property
    def checks(self) -> int:
        """How many checks ran in the block."""
        return self._collection.checks

    @property
    def failures(self) -> tuple[CamError, ...]:
        """What those of them that failed would have raised, in the order in which they ran."""
        return tuple(self._collection.failures)

    def __enter__(self) -> Soft:
        self._outside.append((self._collection, COLLECTING.get()))
        self._collection = Collection()
        COLLECTING.set(self._collection)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        found = self._collection
        found.close()
        before, outer = self._outside.pop()
        if self._outside:
            self._collection = before
        COLLECTING.set(outer)
        if error is None and not found.checks:
            raise VacuousError(
                "vacuous: no attention check ran in this soft block, so it could not fail. Move the checks into it, "
                "or leave it out; those in a thread are part of it where contextvars.copy_context().run calls them"
            )
        if outer is not None and outer.takes(found.failures, found.checks):
            return
        failure = found.together()
        if failure is None:
            return
        if error is None or _is_lost(error):
            raise failure
        _attach(failure, error)


def _is_lost(error: BaseException) -> bool:
    """Return whether an error would be no failure of the test, and take those that it carries with it."""
    # Where pytest or unittest is not imported, nothing of theirs was raised.
    skips: list[Any] = [
        getattr(sys.modules.get("unittest"), "SkipTest", ()),
        getattr(getattr(sys.modules.get("pytest"), "skip", None), "Exception", ()),
    ]
    return isinstance(error, (GeneratorExit, *skips))


def _attach(failure: CamError, error: BaseException) -> None:
    """Make a failure the first link of an error's chain, where reports and pictures are looked for."""
    link, seen = error, set[int]()
    while True:
        seen.add(id(link))
        context = None if link.__suppress_context__ else link.__context__
        earlier = link.__cause__ or context
        if earlier is None or id(earlier) in seen:
            break
        link = earlier
    if id(failure) not in seen:
        link.__context__, link.__suppress_context__ = failure, False
