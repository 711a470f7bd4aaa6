"""What a run of the benchmark was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.networks import Network
from benchmarks.timing import Effort


@dataclass(frozen=True)
class Setup:
    """What is measured, on what, and how long.

    Attributes:
        networks: Those of the figures over many networks.
        effort: How many rounds a figure gets.
        devices: "cpu", and "cuda" where there is a GPU.
        batches: The batch sizes.
        quick: Whether this run only shows that everything works, on small networks and few checks.
    """

    networks: tuple[Network, ...]
    effort: Effort
    devices: tuple[str, ...] = ("cpu",)
    batches: tuple[int, ...] = (1, 8)
    quick: bool = False
