"""What a test computed and measured through the `cam` fixture."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from pytest_cam.attention import Attention
from pytest_cam.images.regions import Region
from pytest_cam.verdicts.evidence import Evidence, Measurement
from pytest_cam.verdicts.findings import AnyEvidence

# How many maps, each with its image, are kept for the pictures of a plain failing assert.
_MOST_MAPS = 20


@dataclass(eq=False)
class _Entry:
    attention: Attention
    measured: list[tuple[Region, Measurement]] = field(default_factory=list)
    told: bool = False

    def observe(self, _: Attention, region: Region, measurement: Measurement) -> None:
        self.measured.append((region, measurement))
        self.told = False

    def evidence(self) -> Evidence:
        self.told = True
        regions = tuple(dict.fromkeys(region for region, _ in self.measured))
        return self.attention.evidence("attention", regions, tuple(found for _, found in self.measured))


class Journal:
    """What a test computed and measured through the `cam` fixture, for pictures of a plain failing assert.

    Only the latest maps are kept: one test may go through thousands of images.

    Attributes:
        computed: How many maps the test computed.
    """

    def __init__(self) -> None:
        self.computed = 0
        self._entries: deque[_Entry] = deque(maxlen=_MOST_MAPS)

    def watch(self, attention: Attention) -> Attention:
        """Return the attention such that what is measured on it is written down here."""
        entry = _Entry(attention)
        self._entries.append(entry)
        self.computed += 1
        return replace(attention, _observer=entry.observe)

    def forget(self) -> None:
        """Let go of the maps and their images, which what is kept of a failure would keep: its frames hold `cam`."""
        self._entries.clear()

    def evidence(self) -> list[AnyEvidence]:
        """Return one evidence for each map that is kept, with all that was measured on it.

        A test may fail several times, once in each of its subtests: each failure gets what is new since the last.
        """
        return [entry.evidence() for entry in self._entries if not entry.told]
