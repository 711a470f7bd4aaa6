"""A map and its regions as a few lines of characters, for logs without pictures."""

from __future__ import annotations

import sys
from collections.abc import Collection
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from pytest_cam.columns import in_columns
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import Region
from pytest_cam.measures.localization import peak_cell

_SHADES = " ░▒▓█"
_MOST_ROWS, _LEAST_ROWS = 18, 12
_LEAST_ROWS_OF_A_STRIP = 6
# Of the picture, so that it fits 80 characters: two each, with its frame and the indent of a message.
COLUMNS_ALONE, COLUMNS_OF_TWO = 37, 16
# The outline's character by which of its neighbours (up, right, down, left) are outline too.
_JOINTS = dict(zip("0123456789abcdef", "·╹╺┗╻┃┏┣╸┛━┻┓┫┳╋", strict=True))
# A terminal that cannot show these would get an escape of six characters for each.
_DRAWN = "░▒▓█│─┌┐└┘·╹╺┗╻┃┏┣╸┛━┻┓┫┳╋"
_PLAIN = str.maketrans(_DRAWN, ".:*@|-++++" + "#" * 16)

LEGEND = "fuller is stronger, X is the peak"
LEGEND_OF_REGIONS = f"{LEGEND}, the heavy line is the region's edge"


def sketch(
    cam: npt.NDArray[np.float32],
    geometry: Geometry,
    regions: Collection[Region] = (),
    most_columns: int = COLUMNS_ALONE,
) -> list[str]:
    """Return a map with the outlines of regions and the peak, as lines of text.

    The picture shows what the model sees: the input, two characters a column, with a thin frame. Of a map that is too
    large for it, each part is the mean of several cells; a long strip is drawn higher than it is.

    Args:
        cam: The map (h, w).
        geometry: Between the image, in whose pixels regions are, and the input.
        regions: What to outline.
        most_columns: How wide it may be.
    """
    shades, grid = _cells(cam, most_columns)
    peak = peak_cell(np.asarray(cam, dtype=np.float64))
    outline, places = np.zeros((grid[0] + 2, grid[1] + 2), dtype=bool), _places_of(peak, cam.shape, grid)
    for region in regions:
        inside = _inside(region, geometry, grid)
        outline |= _ring(inside)
        # The text says whether the peak is outside of the region: the picture must not say something else.
        is_in = _covers(region, geometry, peak, cam.shape)
        places = [place for place in places if inside[place] == is_in] or places
    canvas = _frame(grid)
    for row in range(grid[0]):
        for column in range(grid[1]):
            canvas[row + 1][column + 1] = shades[row][column] * 2
    for y, x in zip(*np.nonzero(outline), strict=True):
        canvas[y][x] = _joint(outline, int(y), int(x), keep=canvas[y][x])
    if cam.any():  # a map of zeros has no peak
        row, column = places[0]
        canvas[row + 1][column + 1] = "X" + canvas[row + 1][column + 1][1]
    return _showable(["".join(line).rstrip() for line in canvas])


def side_by_side(sketches: list[tuple[str, list[str]]]) -> list[str]:
    """Return sketches beside one another, each under its title, as lines of text."""
    columns = [[title, *lines] for title, lines in sketches]
    return in_columns(list(zip_longest(*columns, fillvalue="")), gap="   ")


def _showable(lines: list[str]) -> list[str]:
    # Of the process, and not of what pytest captures the test's output with.
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    try:
        _DRAWN.encode(encoding)
    except UnicodeEncodeError:
        return [line.translate(_PLAIN) for line in lines]
    return lines


def _cells(cam: npt.NDArray[np.float32], most_columns: int) -> tuple[list[list[str]], tuple[int, int]]:
    rows, columns = (min(cells, _MOST_ROWS, most_columns) for cells in cam.shape)
    pooled = _block_means(cam.shape[0], rows) @ cam @ _block_means(cam.shape[1], columns).T
    times = min(-(-_LEAST_ROWS // rows), most_columns // columns)
    pooled = pooled.repeat(max(times, -(-_LEAST_ROWS_OF_A_STRIP // rows)), axis=0).repeat(times, axis=1)
    top = pooled.max()
    level = np.clip(np.ceil(pooled / top * len(_SHADES)) - 1, 0, len(_SHADES) - 1) if top > 0 else pooled * 0
    shades = [[_SHADES[int(value)] for value in line] for line in level]
    return shades, (pooled.shape[0], pooled.shape[1])


def _block_means(length: int, blocks: int) -> npt.NDArray[np.float64]:
    """Return the matrix (blocks, length) that averages a line over equal blocks of it."""
    means = np.zeros((blocks, length))
    for block in range(blocks):
        start = block * length // blocks
        stop = max(start + 1, (block + 1) * length // blocks)
        means[block, start:stop] = 1 / (stop - start)
    return means


def _places_of(peak: tuple[int, int], shape: tuple[int, ...], grid: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the cells of a grid in which the centre of a map's cell lies: several where it lies between them."""
    across = []
    for index, cells, wanted in zip(peak, shape, grid, strict=True):
        doubled, step = (2 * index + 1) * wanted, 2 * cells
        first = doubled // step
        across.append([first, first - 1] if doubled % step == 0 else [first])
    return [(row, column) for row in across[0] for column in across[1]]


def _covers(region: Region, geometry: Geometry, peak: tuple[int, int], shape: tuple[int, ...]) -> bool:
    """Return whether a region covers the centre of a map's cell."""
    coverage = region.coverage(geometry)
    row, column = (
        (2 * index + 1) * size // (2 * cells) for index, size, cells in zip(peak, coverage.shape, shape, strict=True)
    )
    return bool(coverage[row, column] >= 0.5)


def _inside(region: Region, geometry: Geometry, grid: tuple[int, int]) -> npt.NDArray[np.bool_]:
    inside = np.zeros(grid, dtype=bool)
    for part in region.separate:
        coverage = part.coverage(geometry)
        down, across, top = coverage.max(axis=1), coverage.max(axis=0), coverage.max()
        if top > 0 and np.allclose(coverage * top, np.outer(down, across), atol=1e-6):  # a box keeps its corners
            rows, columns = _block_means(len(down), grid[0]) @ down, _block_means(len(across), grid[1]) @ across
            inside |= np.outer(_mostly(rows / top), _mostly(columns / top))
            continue
        share = _block_means(coverage.shape[0], grid[0]) @ coverage @ _block_means(coverage.shape[1], grid[1]).T
        if share.any():
            # Half of a cell along each side counts. Of a part too small for that, the cells that it covers most do.
            inside |= share >= min(0.25, 0.999 * share.max())
    return inside


def _mostly(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    # Half of a cell counts; of what is too small for that, the cells that it covers most do.
    mostly: npt.NDArray[np.bool_] = shares >= min(0.5, 0.999 * shares.max())
    return mostly


def _ring(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    padded = np.pad(inside, 1)
    grown = np.pad(padded, 1)
    height, width = padded.shape
    around = np.zeros_like(padded)
    for dy in range(3):
        for dx in range(3):
            around |= grown[dy : dy + height, dx : dx + width]
    return around & ~padded


def _frame(grid: tuple[int, int]) -> list[list[str]]:
    rows, columns = grid
    body = [["│ ", *["  "] * columns, " │"] for _ in range(rows)]
    return [["┌─", *["──"] * columns, "─┐"], *body, ["└─", *["──"] * columns, "─┘"]]


def _joint(outline: npt.NDArray[np.bool_], y: int, x: int, keep: str) -> str:
    grown = np.pad(outline, 1)
    up, right = grown[y, x + 1], grown[y + 1, x + 2]
    down, left = grown[y + 2, x + 1], grown[y + 1, x]
    code = int(up) + 2 * int(right) + 4 * int(down) + 8 * int(left)
    joint = _JOINTS[f"{code:x}"]
    return joint + ("━" if right else keep[1])
