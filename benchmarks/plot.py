"""The figures as a picture: one map over one plain pass, pytest-cam beside its peers, a panel for each batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, UnavailableError
from benchmarks.one_map import LAST
from benchmarks.ours import NAME

# Colours that stay apart for readers who do not see red and green (Okabe and Ito), and marks that do without colour.
MARKS = {NAME: ("#0072B2", "o"), "captum": ("#E69F00", "s"), "torchcam": ("#009E73", "^"), "grad-cam": ("#CC79A7", "D")}
# Equal times would hide one another: each library has a height of its own within a network's row.
LIFT = {NAME: 0.24, "captum": 0.08, "torchcam": -0.08, "grad-cam": -0.24}


def draw(found: Sequence[Figure], path: Path, remark: str) -> None:
    """Write a PNG of the ratios at the last layer on the CPU.

    Args:
        found: All figures; those that compare with peers are drawn, and where there are none, pytest-cam alone.
        path: Where to.
        remark: A line below, that says on what machine and when.

    Raises:
        UnavailableError: matplotlib is not installed, or there is nothing to draw.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Sheet
    except ImportError as error:
        raise UnavailableError(f"matplotlib is not installed ({error}); pip install -e '.[bench]'") from None
    rows = drawn(found)
    if not rows:
        raise UnavailableError("no map at a last layer was timed on the CPU")
    limits = {
        (figure.network, figure.batch): figure.limit for figure in found if figure.kind == LAST and figure.network
    }
    batches = sorted({figure.batch for figure in rows})
    networks = list(dict.fromkeys(figure.network for figure in rows))
    sheet = Sheet(figsize=(5.2 * len(batches) + 1.4, 0.42 * len(networks) + 2.2), dpi=150, facecolor="white")
    FigureCanvasAgg(sheet)
    panels = sheet.subplots(1, len(batches), sharey=True, sharex=True, squeeze=False)[0]
    for panel, batch in zip(panels, batches, strict=True):
        _panel(panel, [figure for figure in rows if figure.batch == batch], networks, limits)
        _scale(panel, max(ratio for row in rows for ratio in row.over_pass.values()))
        panel.set_title(f"batch {batch}", fontsize=11)
    handles, labels = max((panel.get_legend_handles_labels() for panel in panels), key=lambda pair: len(pair[1]))
    sheet.suptitle("One map at the last layer, in plain inference passes (further left is better)", fontsize=12)
    sheet.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False, bbox_to_anchor=(0.5, 0.035))
    sheet.text(0.5, 0.015, remark, ha="center", fontsize=7, color="0.35")
    sheet.tight_layout(rect=(0, 0.1, 1, 1))
    sheet.savefig(path)


def drawn(found: Sequence[Figure]) -> list[Figure]:
    """Return the figures whose libraries' times over a pass are drawn: those with peers, where there are any."""
    timed = [figure for figure in found if figure.over_pass and figure.device == "cpu"]
    return [figure for figure in timed if figure.kind != LAST] or timed


def _panel(
    panel: Any,
    rows: Sequence[Figure],
    networks: Sequence[str],
    limits: Mapping[tuple[str, int], float | None],
) -> None:
    heights = {network: len(networks) - 1 - index for index, network in enumerate(networks)}
    for height in heights.values():
        panel.axhline(height, color="0.95", linewidth=22, zorder=0)
    panel.axvline(1.0, color="0.4", linewidth=1, zorder=1, label="one plain pass")
    label: str | None = "limit of pytest-cam"
    for row in rows:
        limit = limits.get((row.network, row.batch))
        if limit is not None:
            height = heights[row.network]
            panel.plot([limit] * 2, [height - 0.4, height + 0.4], color="#D55E00", linewidth=1.8, zorder=2, label=label)
            label = None
    for name, (colour, mark) in MARKS.items():
        points = [(row.over_pass[name], heights[row.network] + LIFT[name]) for row in rows if name in row.over_pass]
        if points:
            across, up = zip(*points, strict=True)
            order = 4 if name == NAME else 3
            panel.scatter(across, up, s=42, color=colour, marker=mark, edgecolors="white", label=name, zorder=order)
    panel.set_yticks(list(heights.values()), list(heights))
    panel.set_ylim(-0.6, len(networks) - 0.4)
    panel.set_xlabel("time over a plain inference pass (logarithmic)")
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.tick_params(axis="y", length=0)


def _scale(panel: Any, right: float) -> None:
    """Make the axis of times logarithmic, with ticks up to a little more than the largest, `right`."""
    panel.set_xscale("log")
    ticks = [tick for tick in (0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0) if tick <= 1.3 * max(right, 1.2)]
    panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    panel.minorticks_off()
