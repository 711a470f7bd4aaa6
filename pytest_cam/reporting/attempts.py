"""The attempts of tests that pytest-rerunfailures runs again, of which the last one counts. pytest only."""

from __future__ import annotations

import pytest


class Attempts:
    """Tells reports of attempts that do not count. It must see every report of the run, in their order."""

    def __init__(self) -> None:
        self._discarded: dict[str, int | None] = {}

    def discard(self, report: pytest.TestReport) -> bool:
        """Return whether a report is of an attempt that does not count, as are all of its test before it."""
        attempt: int | None = getattr(report, "rerun", None)  # which reports of subtests do not have
        test = getattr(report, "cam_test", report.nodeid)  # several outside of the root may share the latter
        if str(report.outcome) == "rerun":
            self._discarded[test] = attempt
            return True
        # After the phase for which it is run again comes the attempt's teardown, as one that passed.
        return attempt is not None and self._discarded.get(test) == attempt
