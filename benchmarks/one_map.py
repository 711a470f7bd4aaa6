"""One map at the last layer, over a plain inference pass of the same network on the same input.

The two are taken in turns within one run, so that what else the machine does falls on both, and the figure is the
median of the ratios of neighbours.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import torch
import torchvision

from pytest_cam import attend

WARM_UP = 10


@dataclass(frozen=True)
class Case:
    """A network of torchvision, a layer of it or None, and the ratio that must not be exceeded, if there is one."""

    network: str
    layer: str | None
    limit: float | None


@dataclass(frozen=True)
class Figures:
    """Median times in milliseconds, and the median of the ratios of neighbours."""

    case: Case
    plain: float
    attended: float
    ratio: float


CASES = (
    Case("resnet50", "layer4", 1.10),
    Case("mobilenet_v3_small", "features", 1.20),
    Case("resnet50", None, None),
    Case("mobilenet_v3_small", None, None),
)


def measured(case: Case, rounds: int) -> Figures:
    """Time a plain pass and a map in turns, after a warm-up.

    Args:
        case: What to run.
        rounds: The number of pairs.
    """
    torch.manual_seed(0)
    model = getattr(torchvision.models, case.network)(weights=None).eval()
    image = torch.randn(1, 3, 224, 224)

    def plain() -> None:
        with torch.inference_mode():
            model(image)

    def attended() -> None:
        attend(model, image, layer=case.layer)

    for _ in range(WARM_UP):
        plain()
        attended()
    pairs = [(milliseconds(plain), milliseconds(attended)) for _ in range(rounds)]
    return Figures(
        case,
        plain=statistics.median(pair[0] for pair in pairs),
        attended=statistics.median(pair[1] for pair in pairs),
        ratio=statistics.median(pair[1] / pair[0] for pair in pairs),
    )


def milliseconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def as_markdown(figures: list[Figures], rounds: int) -> str:
    """Return the figures as a table, with what it takes to compare them with others."""
    lines = [
        f"{date.today()}, torch {torch.__version__}, {torch.get_num_threads()} threads, {machine()}; batch 1, "
        f"224 x 224, median of {rounds} pairs",
        "",
        "| network | layer | plain pass | one map | ratio | limit |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for item in figures:
        limit = "" if item.case.limit is None else f"{item.case.limit:.2f}"
        lines.append(
            f"| {item.case.network} | {item.case.layer or 'found by itself'} | {item.plain:.1f} ms | "
            f"{item.attended:.1f} ms | {item.ratio:.2f} | {limit} |"
        )
    return "\n".join(lines)


def machine() -> str:
    """Return the processor and the number of its cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor()}, {cores} cores, {platform.system()} {platform.machine()}"


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
