"""Occlusion: Zeiler and Fergus, ECCV 2014, arXiv 1311.2901, section 4.2."""

from __future__ import annotations

import math

import torch

from pytest_cam.engine.methods.option_values import real, whole, within
from pytest_cam.engine.methods.precision import widest
from pytest_cam.engine.methods.resources import Scores
from pytest_cam.errors import MethodError, is_ours

__tracebackhide__ = is_ours


def occlusion(
    inputs: torch.Tensor,
    score: float,
    score_inputs: Scores,
    *,
    window: int | None = None,
    stride: int | None = None,
    baseline: float = 0.0,
) -> torch.Tensor:
    """Return relu(d), d being a pixel's mean drop of the score over the windows that cover it.

    A square window slides over the input, filled with the baseline in all channels. The last one of a row or column
    ends at the border, so that all have the same size and no pixel is left out. Where there is nothing but the baseline
    anyway a window changes nothing, and is not tried.

    Args:
        inputs: The image, (1, C, H, W).
        score: The explained score of the whole image.
        score_inputs: From how many inputs and what makes them to the score of each, (count,).
        window: The window's side in pixels; a seventh of the input's shorter side, rounded up, where it is not given.
        stride: By how many pixels it slides, at most its side; half of that where it is not given.
        baseline: What fills it, in the units of the input: 0 is the mean of normalised inputs.

    Returns:
        The map (1, H, W), >= 0, not normalised, in the units of the score.

    Raises:
        MethodError: An option has a value that it cannot have, or the input is the baseline everywhere.
    """
    height, width = int(inputs.shape[2]), int(inputs.shape[3])
    shorter = min(height, width)
    side = math.ceil(shorter / 7) if window is None else window
    side = whole("occlusion", "window", side, at_most=shorter, why=f"the input is {height} x {width} pixels")
    step = max(side // 2, 1) if stride is None else stride
    step = whole("occlusion", "stride", step, at_most=side, why="a longer one would leave pixels out")
    fill = within("occlusion", "baseline", real("occlusion", "baseline", baseline), inputs.dtype)
    rows, columns = (_spans(length, side, step).to(inputs.device) for length in (height, width))
    down, across = rows.to(widest(inputs)), columns.to(widest(inputs))
    changed = down @ (inputs[0] != fill).any(dim=0).to(down) @ across.T
    tried = changed.flatten().nonzero().flatten()
    if not len(tried):
        raise MethodError(
            f"occlusion: the input is {fill:g} everywhere, as the baseline is, so each window leaves it as it is, "
            "and a map would say nothing. Accepted: another baseline, as method_options={'baseline': 0.5}, or a method "
            "of gradients, such as gradcam++"
        )

    def make(start: int, stop: int) -> torch.Tensor:
        chosen = tried[start:stop]
        covered = rows[chosen // len(columns), None, :, None] & columns[chosen % len(columns), None, None, :]
        return inputs.masked_fill(covered, fill)

    lower = score - score_inputs(len(tried), make).double()
    drops = torch.zeros_like(changed)
    drops.view(-1)[tried] = lower.to(drops.dtype).to(drops.device)
    summed = down.T @ drops @ across
    covering = torch.outer(down.sum(dim=0), across.sum(dim=0))
    return (summed / covering).relu().unsqueeze(0).to(torch.promote_types(inputs.dtype, torch.float32))


def _spans(length: int, side: int, step: int) -> torch.Tensor:
    """Return which of `length` places each window covers, (windows, length)."""
    starts = torch.tensor([*range(0, length - side, step), length - side], device="cpu")
    places = torch.arange(length, device="cpu")
    return (places >= starts[:, None]) & (places < starts[:, None] + side)
