"""The pictures of one piece of evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pytest_cam.images import drawing
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.loading import RGB
from pytest_cam.images.panel import Tile, panel, stretched, tile_of
from pytest_cam.images.regions import Box, Region
from pytest_cam.images.style import Style
from pytest_cam.verdicts.evidence import Evidence
from pytest_cam.verdicts.findings import Findings, View
from pytest_cam.verdicts.message import explained, first_line, image, number
from pytest_cam.views import attended_boxes

_TILE = 320
_PLAIN = Style()
_REGION: drawing.Colour = (255, 255, 255)
_ATTENDED: drawing.Colour = (255, 0, 255)
_STRETCHED = "colours run from the map's minimum to its maximum"
_NOTHING = "the map is zero everywhere: it has no peak, and nothing exceeds half of its maximum"


def pictures_of(findings: Findings, style: Style = _PLAIN) -> dict[str, RGB]:
    """Return the pictures of a verdict over several maps or predictions by file name.

    Args:
        findings: What was seen and measured.
        style: How maps are drawn.

    Returns:
        One for each view, by its name, its longer side reduced to 1024 pixels, and `panel.png` with all of them.

    Raises:
        DependencyError: OpenCV does not import here.
    """
    drawn = {f"{view.name}.png": _drawn(view, view.picture, findings, style) for view in findings.views}
    tiles = [Tile(view.title, _drawn(view, tile_of(view.picture, _TILE), findings, style)) for view in findings.views]
    lines = [f"{figure.name}: {number(figure)}" for figure in findings.figures]
    lines += [f"{name}: {text}" for name, text in findings.facts]
    lines.append(f"image: {image(findings.image_name, findings.geometry)}")
    if any(view.map is not None for view in findings.views):
        lines.append("heat maps: each from zero to its own maximum" if style.normalization == "max" else _STRETCHED)
    first = tiles[0].picture
    size = (first.shape[1], first.shape[0])
    geometries = [view.geometry for view in findings.views if view.geometry is not None]
    lines += drawing.unseen(drawing.seen_mask(geometry, size) for geometry in geometries)
    lines += stretched(findings.views[0].picture, first)
    if any(view.own is not None for view in findings.views):
        lines.append("solid white: the map's own region; dashed: those of the others")
    outlines = [line for region in findings.regions for line in _of_findings(region, first, findings.geometry)]
    if any(line.is_hole for line in outlines):
        lines.append("thin white dashes: a hole in a region")
    return drawn | {"panel.png": panel(tiles, first_line(findings), lines)}


def _drawn(view: View, picture: RGB, findings: Findings, style: Style) -> RGB:
    if view.map is not None and view.geometry is not None:
        picture = drawing.overlaid(picture, view.map, view.geometry, style)
    geometry = findings.geometry
    for region in findings.regions:
        dashed = view.own is not None and region is not view.own
        picture = _outlined(picture, _of_findings(region, picture, geometry), dashed=dashed)
    return picture


def _of_findings(region: Region, picture: RGB, geometry: Geometry) -> list[drawing.Contour]:
    return _outlines(region.resolved((1.0, 1.0), geometry.image_size), picture, geometry)


def pictures(evidence: Evidence, style: Style = _PLAIN) -> dict[str, RGB | npt.NDArray[np.uint8]]:
    """Return the pictures of one piece of evidence by file name.

    Args:
        evidence: What was seen and measured.
        style: How maps are drawn.

    Returns:
        `overlay.png`, `heatmap.png`, `grayscale.png` at the image's size (its longer side reduced to 1024 pixels),
        and `panel.png`, which shows image, heat map and overlay with the region outlined.

    Raises:
        DependencyError: OpenCV does not import here.
    """
    picture = evidence.picture
    size = (picture.shape[1], picture.shape[0])
    share = drawing.on_image(drawing.normalised(evidence.map, style.normalization), evidence.geometry, size)
    seen = drawing.seen_mask(evidence.geometry, size)
    return {
        "overlay.png": drawing.overlay(picture, share, seen, style.alpha, style.colormap),
        "heatmap.png": drawing.heatmap(share, seen, style.colormap),
        "grayscale.png": drawing.grayscale(share),
        "panel.png": _panel(evidence, style),
    }


def _panel(evidence: Evidence, style: Style) -> RGB:
    picture = tile_of(evidence.picture, _TILE)
    size = (picture.shape[1], picture.shape[0])
    share = drawing.on_image(drawing.normalised(evidence.map, style.normalization), evidence.geometry, size)
    seen = drawing.seen_mask(evidence.geometry, size)
    outlines = _outlines_of(evidence, picture)
    tiles = [
        Tile("image", _outlined(picture, outlines)),
        Tile("heat map", _outlined(drawing.heatmap(share, seen, style.colormap), outlines)),
        Tile(
            "overlay", _marked(drawing.overlay(picture, share, seen, style.alpha, style.colormap), evidence, outlines)
        ),
    ]
    lines = [
        f"explained: {explained(evidence.explained)}",
        f"image: {image(evidence.image_name, evidence.geometry)}",
        _legend(evidence, outlines),
        *drawing.unseen([seen]),
        *stretched(evidence.picture, picture),
    ]
    if style.normalization == "min-max":
        lines.append(_STRETCHED)
    for measurement in evidence.measurements[:1]:
        lines.insert(
            0,
            f"energy {measurement.energy:.2f} in the region, chance {measurement.chance:.2f}, "
            f"ceiling {measurement.ceiling:.2f}",
        )
    return panel(tiles, first_line(evidence), lines)


def _legend(evidence: Evidence, outlines: list[drawing.Contour]) -> str:
    """Return what the lines in a panel mean, of those that are drawn in this one."""
    is_zero = not evidence.map.any()
    parts = ["solid white: the region"] if outlines else []
    if any(line.is_thin for line in outlines):
        parts = ["solid white: the region widened by one cell, which is measured; thin white: the region as given"]
    parts += ["thin white dashes: a hole in it"] if any(line.is_hole for line in outlines) else []
    parts += [_NOTHING] if is_zero else ["dashed magenta: where the map exceeds half of its maximum"]
    for measurement in evidence.measurements[:1] if not is_zero else ():
        tied = measurement.tied_cells
        parts.append("ring: its peak" if tied == 1 else f"ring: the first of the {tied} cells that share its peak")
    return "; ".join(parts)


def _outlined(tile: RGB, outlines: list[drawing.Contour], *, dashed: bool = False) -> RGB:
    drawn: RGB = tile.copy()
    for line in outlines:
        # A hole's is thin, and so are its dashes: else a region with a hole looks like one region in another.
        width = 1 if line.is_hole or line.is_thin else 2
        drawn = drawing.outline(drawn, line.points, _REGION, dashed=dashed or line.is_hole, width=width)
    return drawn


def _outlines(region: Region, tile: RGB, geometry: Geometry) -> list[drawing.Contour]:
    known = [drawing.Contour(_on_tile(points, tile, geometry)) for points in region.outlines()]
    if known:
        return known
    (width, height), size = geometry.image_size, (tile.shape[1], tile.shape[0])
    scaled = Geometry((width, height), size, ((size[0] / width, 0.0, 0.0), (0.0, size[1] / height, 0.0)))
    inside = np.zeros(tile.shape[:2], dtype=bool)
    for part in region.separate:
        share = part.coverage(scaled)
        if share.any():
            # Of a part that covers no pixel by half, those that it covers most are drawn.
            inside |= share >= min(0.5, 0.999 * share.max())
    return drawing.contours(inside)


def _marked(tile: RGB, evidence: Evidence, outlines: list[drawing.Contour]) -> RGB:
    drawn: RGB = tile.copy()
    for box in attended(evidence):
        points = _on_tile(box.outlines()[0], tile, evidence.geometry)
        drawn = drawing.outline(drawn, points, _ATTENDED, dashed=True)
    drawn = _outlined(drawn, outlines)
    for measurement in evidence.measurements[:1]:
        centre = _on_tile(np.array([measurement.peak]), tile, evidence.geometry)[0]
        drawn = drawing.ring(drawn, centre, _ATTENDED)
    return drawn


def _outlines_of(evidence: Evidence, tile: RGB) -> list[drawing.Contour]:
    """Return the outlines of what is measured, and thin ones of the regions as they were given where that is more."""
    measured = [measurement.region for measurement in evidence.measurements]
    found = []
    for region in dict.fromkeys((*evidence.resolved_regions, *measured)):
        is_thin = bool(measured) and region not in measured
        found += [replace(line, is_thin=is_thin) for line in _outlines(region, tile, evidence.geometry)]
    return found


def _on_tile(points: npt.NDArray[np.float64], tile: RGB, geometry: Geometry) -> npt.NDArray[np.float64]:
    scale = np.array([tile.shape[1], tile.shape[0]]) / np.array(geometry.image_size)
    scaled: npt.NDArray[np.float64] = points * scale
    return scaled


def attended(evidence: Evidence) -> list[Box]:
    """Return the boxes around what the model attends to; none where the map is zero."""
    return attended_boxes(evidence.map, evidence.geometry) if evidence.map.max() > 0 else []
