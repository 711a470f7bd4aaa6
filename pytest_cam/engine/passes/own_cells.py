"""Scores that are read cell by cell from what the model returns: the map of a layer of these cells says nothing new."""

from __future__ import annotations

from pytest_cam.engine.passes.graph import comes_cell_by_cell, nodes_behind
from pytest_cam.engine.passes.last_tap import LastTap
from pytest_cam.engine.passes.tap import Seen
from pytest_cam.engine.scores.targets import Scores


def is_its_own(taps: LastTap, scores: list[Scores]) -> bool:
    """Return whether a score is read from the cells of the last layer itself, and there are layers before it.

    Args:
        taps: The last layer, and those before it.
        scores: The scores of each target, with the graph that has come from it.
    """
    return len(taps.others) > 1 and any(is_read_from(taps.seen()[0], each) for each in scores)


def is_read_from(seen: Seen, scores: Scores) -> bool:
    """Return whether a score is read from cells that are a layer's own, as that of a mask is from a segmenter's logits.

    What is pooled of a layer before the model returns it is no such score: there its map is what CAM is.

    Args:
        seen: The layer's output.
        scores: The scores, with the graph that has come from it.
    """
    if not scores.grids or seen.layout.kind == "tokens":
        return False
    behind = {node for score in scores.called for node in nodes_behind(score)}
    return any(grid.grad_fn in behind and comes_cell_by_cell(grid, seen.tensor) for grid in scores.grids)
