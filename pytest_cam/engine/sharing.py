"""Whether passes are shared between the calls of a test session.

Standard library only, so that the plugin may import it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Sharing:
    """The switch of the cache of passes, which is off outside of test sessions.

    Attributes:
        is_on: Whether a pass may be answered from the cache.
        test: The number of the test that runs; with each, what is kept of a model is checked more closely once.
    """

    is_on: bool = False
    test: int = 0


SHARING = Sharing()
