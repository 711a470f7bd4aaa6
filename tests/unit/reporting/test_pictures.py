"""Outlines in the pictures of one piece of evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_cam import Box, Mask, Polygon, Region
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.panel import Tile
from pytest_cam.images.style import Style
from pytest_cam.reporting import pictures as drawn_by
from pytest_cam.reporting.pictures import pictures, pictures_of
from pytest_cam.verdicts.evidence import Evidence
from pytest_cam.verdicts.findings import Findings, View

CORNER = np.zeros((8, 8), dtype=bool)
CORNER[5:8, 0:3] = True
EDGES = ((100, 300, 240), (165, 235, 160))
VIEW = View("photo", "photo", np.zeros((8, 8, 3), dtype=np.uint8))


def tile(evidence: Evidence, region: Region) -> np.ndarray:
    """Return where the panel's first tile, 40 of its pixels to one of the image, is as white as an outline."""
    black = np.zeros_like(evidence.picture)
    panel = pictures(replace(evidence, picture=black, regions=(region,), measurements=()))["panel.png"]
    return (panel[32:352, 12:332] == 255).all(axis=2)


@pytest.mark.parametrize(
    ("region", "edges"),
    [
        (Box(0, 5, 3, 8), [(260, 120), (200, 60)]),
        (Mask(CORNER), [(260, 120), (200, 60)]),
        (Polygon([(0, 8), (0, 5), (3, 8)]), [(260, 60)]),
        (Box(0, 5, 3, 8) | Box(6, 0, 8, 1), [(260, 120), (200, 60), (40, 280)]),
        (Box(0, 5, 3, 8) & ~Box(1, 5, 2, 6), [(240, 60), (220, 40), (220, 80)]),
        (Box(1, 6, 2, 7).dilate(), [(260, 120), (200, 60)]),
        (Box(0, 5, 3, 8) | Box(6.5, 2.5, 6.501, 2.501), [(200, 60), (100, 260)]),
    ],
    ids=["box", "mask", "polygon", "union", "hole", "dilated", "speck"],
)
def test_outline_of_every_kind_runs_where_its_edges_are(
    evidence: Evidence, region: Region, edges: list[tuple[int, int]]
) -> None:
    white = tile(evidence, region)
    for y, x in edges:
        assert white[y - 4 : y + 4, x - 4 : x + 4].any()
    assert not white[80:160, 40:200].any()


@pytest.fixture
def caption(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what stands below the panel that is drawn last, its headline first."""
    words: list[str] = []
    draw = drawn_by.panel

    def noted(tiles: list[Tile], headline: str, lines: list[str]) -> np.ndarray:
        words[:] = [headline, *lines]
        return draw(tiles, headline, lines)

    monkeypatch.setattr(drawn_by, "panel", noted)
    return words


def test_legend_explains_all_that_is_drawn_and_nothing_else(evidence: Evidence, caption: list[str]) -> None:
    dashes = "dashed magenta: where the map exceeds half of its maximum"
    zero = replace(evidence, map=np.zeros_like(evidence.map), regions=(), measurements=())

    pictures(evidence)
    assert f"solid white: the region; {dashes}; ring: the first of the 16 cells that share its peak" in caption
    pictures(replace(evidence, regions=(), measurements=()))
    assert caption[-1] == dashes
    (measured,) = evidence.measurements
    pictures(replace(evidence, measurements=(replace(measured, tied_cells=1),)))
    assert caption[-1] == f"solid white: the region; {dashes}; ring: its peak"
    pictures(zero)
    assert caption[-1] == "the map is zero everywhere: it has no peak, and nothing exceeds half of its maximum"


def test_region_as_given_is_thin_beside_the_widened_one_that_is_measured(
    evidence: Evidence, caption: list[str]
) -> None:
    measured = replace(evidence.measurements[0], region=Box(1, 1, 7, 7))
    black = np.zeros_like(evidence.picture)
    panel = pictures(replace(evidence, picture=black, regions=(Box(3, 3, 5, 5),), measurements=(measured,)))[
        "panel.png"
    ]

    assert caption[-1].startswith(
        "solid white: the region widened by one cell, which is measured; thin white: the region"
    )
    # Across the middle of the first tile, 40 pixels to one of the image.
    white = (panel[32 + 160, 12:332] == 255).all(axis=1)
    assert [int(white[x - 5 : x + 5].sum()) for x in (40, 120, 200, 280)] == [3, 1, 1, 3]


def test_what_the_model_did_not_see_is_dark_and_explained(evidence: Evidence, caption: list[str]) -> None:
    crop = Geometry((8, 8), (4, 4), ((1.0, 0.0, -2.0), (0.0, 1.0, -2.0)))

    for geometry, words in ((crop, ["dark: what the model did not see"]), (evidence.geometry, [])):
        pictures(replace(evidence, geometry=geometry))
        assert [line for line in caption if line.startswith("dark")] == words
        view = replace(VIEW, map=evidence.map, geometry=geometry)
        pictures_of(Findings("check", "", (), (view,), "photo", geometry))
        assert [line for line in caption if line.startswith("dark")] == words


def test_stretched_strip_is_explained(evidence: Evidence, caption: list[str]) -> None:
    strip = np.zeros((10, 1000, 3), dtype=np.uint8)
    words = "drawn about 7.5 times as high as it is, so that it can be read"

    pictures(replace(evidence, picture=strip))
    assert words in caption
    pictures_of(Findings("check", "", (), (replace(VIEW, picture=strip),), "photo", evidence.geometry))
    assert words in caption


def test_edge_of_a_hole_is_dashed_and_explained(evidence: Evidence, caption: list[str]) -> None:
    holed = Box(0, 2, 6, 8) & ~Box(2, 4, 4, 6)

    white = tile(evidence, holed)

    assert "solid white: the region; thin white dashes: a hole in it" in caption[-1]
    # The right edges of both, at 40 pixels to one of the image: half of the inner one's is left out.
    outer, inner = (white[top:bottom, x - 4 : x + 4].any(axis=1).mean() for top, bottom, x in EDGES)
    assert outer == 1
    assert 0.3 < inner < 0.7

    pictures_of(Findings("check", "", (), (VIEW,), "photo", evidence.geometry, regions=(holed,)))
    assert caption[-1] == "thin white dashes: a hole in a region"
    pictures_of(Findings("check", "", (), (VIEW,), "photo", evidence.geometry, regions=(Box(0, 2, 6, 8),)))
    assert "dashes" not in caption[-1]


def test_headline_says_why_there_is_no_verdict(evidence: Evidence, caption: list[str]) -> None:
    pictures(replace(evidence, problem="there is no baseline"))

    assert caption[0] == "there is no baseline"


def test_of_several_regions_a_maps_own_is_solid_and_the_others_are_dashed(evidence: Evidence) -> None:
    left, right = Box(1, 1, 3, 7), Box(5, 1, 7, 7)
    black = np.zeros((320, 320, 3), dtype=np.uint8)
    views = (View("left", "left", black, own=left), View("right", "right", black, own=right), View("none", "", black))
    drawn = pictures_of(Findings("check", "", (), views, "photo", evidence.geometry, regions=(left, right)))

    def line(picture: str, column: int) -> float:
        """Return how much of a region's left edge is white."""
        white = (drawn[f"{picture}.png"] == 255).all(axis=2)
        return float(white[50:270, column * 40 - 3 : column * 40 + 3].any(axis=1).mean())

    for name, solid in (("left", (1,)), ("right", (5,)), ("none", (1, 5))):
        for column in (1, 5):
            assert (line(name, column) == 1) == (column in solid), (name, column)
            assert line(name, column) > 0.3


@pytest.mark.parametrize("region", [Box(10, 2, 14, 6), Mask(np.pad(np.ones((4, 4), bool), ((2, 2), (10, 2))))])
def test_outline_on_a_wide_image_runs_where_its_edges_are(region: Region) -> None:
    # An image of 16 x 8 pixels, of which the model saw the left half, in a picture of 20 to a pixel.
    geometry = Geometry((16, 8), (4, 4), ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0)))
    view = View("photo", "photo", np.zeros((160, 320, 3), dtype=np.uint8))
    drawn = pictures_of(Findings("check", "", (), (view,), "photo", geometry, regions=(region,)))["photo.png"]
    ys, xs = np.nonzero((drawn == 255).all(axis=2))
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == pytest.approx((200, 280, 40, 120), abs=2)


def test_overlay_shows_where_the_map_exceeds_half_of_its_maximum_and_its_peak(evidence: Evidence) -> None:
    # The map is 1 from 1 to 5 and 0 elsewhere, its first peak in the middle of the pixel at (1, 1): 40 pixels each.
    panel = pictures(evidence)["panel.png"]
    magenta = (panel[32:352, 676:996] == (255, 0, 255)).all(axis=2)
    below = magenta[90:]
    ys, xs = np.nonzero(below)
    assert (xs.min(), xs.max(), ys.max() + 90) == pytest.approx((40, 200, 200), abs=3)
    # Dashed: of the lower edge some is drawn and some is not.
    assert 0.3 < magenta[196:204, 40:200].any(axis=0).mean() < 0.9
    for y, x in ((54, 60), (66, 60), (60, 54), (60, 66)):
        assert magenta[y - 1 : y + 2, x - 1 : x + 2].any()
    other_tiles = panel[32:352, :672]
    assert not (other_tiles == (255, 0, 255)).all(axis=2).any()


def test_caption_of_one_map_says_what_was_measured_of_what(evidence: Evidence, caption: list[str]) -> None:
    pictures(evidence)
    assert caption[:4] == [
        "attention in box: skill -0.16 < 0.25 (gradcam, 0)",  # (0 - 9 / 64) / (1 - 9 / 64)
        "energy 0.00 in the region, chance 0.14, ceiling 1.00",
        "explained: class 1 (the single logit), probability 0.56, predicted",
        "image: input tensor, 8 x 8",
    ]
    pictures(evidence, Style(normalization="min-max"))
    assert "colours run from the map's minimum to its maximum" in caption


def test_caption_of_several_maps_says_what_was_found_and_how_they_are_drawn(
    evidence: Evidence, caption: list[str]
) -> None:
    map_of_it = replace(VIEW, map=evidence.map, geometry=evidence.geometry)
    findings = Findings("check", "", (), (map_of_it, VIEW), "photo", evidence.geometry, facts=(("rule", "strict"),))
    pictures_of(findings)
    assert caption[1:] == ["rule: strict", "image: photo, 8 x 8", "heat maps: each from zero to its own maximum"]
    pictures_of(findings, Style(normalization="min-max"))
    assert caption[1:] == ["rule: strict", "image: photo, 8 x 8", "colours run from the map's minimum to its maximum"]
    pictures_of(replace(findings, views=(VIEW,)))
    assert caption[1:] == ["rule: strict", "image: photo, 8 x 8"]
    own = replace(VIEW, own=Box(1, 1, 3, 7))
    pictures_of(replace(findings, views=(VIEW, own), regions=(Box(1, 1, 3, 7),)))
    assert caption[-1] == "solid white: the map's own region; dashed: those of the others"
