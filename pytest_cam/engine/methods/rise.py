"""RISE: Petsiuk et al., arXiv 1806.07421, section 3."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import interpolate

from pytest_cam.engine.methods.option_values import share, whole
from pytest_cam.engine.methods.precision import widest
from pytest_cam.engine.methods.resources import Make, Scores
from pytest_cam.errors import MethodError, is_ours

__tracebackhide__ = is_ours

# So many masks of the input's size lie in memory at once while they are summed.
_AT_ONCE = 64


def rise(
    inputs: torch.Tensor,
    score_inputs: Scores,
    generator: torch.Generator,
    *,
    masks: int = 1000,
    cells: int = 8,
    keep: float = 0.5,
) -> torch.Tensor:
    """Return relu(E[score | pixel kept] - E[score]) over inputs under random masks.

    A mask is a grid of cells, each kept or not, upsampled (bilinear, align_corners=False) to one cell more than the
    input and cut out at a random place. The paper's map is E[score | pixel kept], estimated with the mask's known mean.
    This divides by the sum of the masks that were drawn, and takes off the mean score: a pixel that changes nothing
    then has zero, a score that no mask changes gives a map of zeros, and what is left does not depend on a constant in
    the score.

    Args:
        inputs: The image, (1, C, H, W).
        score_inputs: From how many inputs and what makes them to the score of each, (count,).
        generator: Where the masks come from, on the CPU.
        masks: The number of masks.
        cells: How many cells the grid has on each side, at most as many as the input's shorter side has pixels.
        keep: The probability that a cell is kept, above 0 and below 1.

    Returns:
        The map (1, H, W), >= 0, not normalised, in the units of the score.

    Raises:
        MethodError: An option has a value that it cannot have, or the input is zero everywhere.
    """
    if not bool(inputs.any()):
        raise MethodError(
            "rise: the input is zero everywhere, so each mask leaves it as it is, and a map would say nothing. "
            "Accepted: an input with other values, as a normalisation makes it of a black image, or a method of "
            "gradients, such as gradcam++"
        )
    count = whole("rise", "masks", masks)
    height, width = int(inputs.shape[2]), int(inputs.shape[3])
    side = whole("rise", "cells", cells, at_most=min(height, width), why=f"the input is {height} x {width} pixels")
    chances = torch.rand(count, 1, side, side, generator=generator, device="cpu", dtype=torch.float32)
    kept = chances < share("rise", "keep", keep)
    drawn = _masks(kept.to(inputs.device), height, width, generator)

    def make(start: int, stop: int) -> torch.Tensor:
        return inputs * drawn(start, stop).to(inputs)

    scores = score_inputs(count, make).double()
    # Less its smallest value a score that never changes is exactly zero, and so is its map.
    scores = scores - scores.min()
    scores = (scores - scores.mean()).to(widest(inputs)).to(inputs.device)
    weighted, total = torch.zeros(2, height, width, dtype=scores.dtype, device=scores.device)
    for start in range(0, count, _AT_ONCE):
        stop = min(start + _AT_ONCE, count)
        some = drawn(start, stop)[:, 0].to(scores)
        weighted += torch.einsum("n,nhw->hw", scores[start:stop], some)
        total += some.sum(dim=0)
    expected = torch.where(total == 0, 0.0, weighted / total)
    return expected.relu().unsqueeze(0).to(torch.promote_types(inputs.dtype, torch.float32))


def _masks(kept: torch.Tensor, height: int, width: int, generator: torch.Generator) -> Make:
    """Return what gives masks `start` to `stop`, (n, 1, height, width), from grids (count, 1, side, side)."""
    side = kept.shape[-1]
    cell = math.ceil(height / side), math.ceil(width / side)
    places = [torch.randint(size, (len(kept),), generator=generator, device="cpu") for size in cell]
    rows, columns = (each.tolist() for each in places)

    def masks(start: int, stop: int) -> torch.Tensor:
        size = ((side + 1) * cell[0], (side + 1) * cell[1])
        wide = interpolate(kept[start:stop].float(), size=size, mode="bilinear", align_corners=False)
        corners = zip(wide, rows[start:stop], columns[start:stop], strict=True)
        return torch.stack([mask[:, y : y + height, x : x + width] for mask, y, x in corners])

    return masks
