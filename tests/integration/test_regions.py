"""Checks on regions other than one box: what is said, drawn and written."""

from __future__ import annotations

import numpy as np
from PIL import Image


def white(picture: np.ndarray) -> np.ndarray:
    return (picture == 255).all(axis=2)


def test_polygon_that_is_not_looked_at_fails_with_its_outline(project):
    project.write(
        test_looks="""
        from pytest_cam import Polygon

        def test_triangle(cam, model, photo):
            cam.assert_attention_in_region(model, photo, Polygon([(0, 8), (8, 8), (8, 5)]), "0", "gradcam")

        def test_lit(cam, model, photo):
            cam.assert_attention_in_region(model, photo, Polygon([(1, 1), (5, 1), (5, 5), (1, 5)]), "0")
        """
    )

    result = project.run_with_artifacts()

    # The triangle has half of 8 x 3 of the 64 pixels, and nothing of the map.
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*AttentionError: attention in polygon: skill -0.2? < 0.25 (gradcam, 0)",
            "*energy     0.00 in the region; chance 0.19, ceiling *",
            "*region     polygon of 3 points in (0, 5, 8, 8)",
        ]
    )
    (document,) = project.documents()["test_triangle"]
    assert document["regions"] == [{"kind": "polygon", "outlines": [[[0, 8], [8, 8], [8, 5]]]}]
    with Image.open(document["folder"] / "panel.png") as panel:
        tile = white(np.array(panel)[32:352, 12:332])
    # One image pixel is 40 of the tile's. The photo is white in (1, 1, 5, 5); the outline's slanted side crosses x = 2
    # at y = 8 - 2 * 3 / 8, where nothing else is white.
    assert tile[290 - 4 : 290 + 4, 80].any()
    assert tile[200:320, 317 - 4 : 320].any()
    assert not tile[220:270, 20:120].any()


def test_mask_and_several_boxes_are_described_and_drawn(project):
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[6:8, 1:3] = 255
    Image.fromarray(mask).save(project.path / "mask.png")
    project.write(
        test_looks="""
        from pytest_cam import Box, Mask

        def test_mask(cam, model, photo):
            cam.assert_attention_in_region(model, photo, Mask("mask.png"), "0", "gradcam")

        def test_boxes(cam, model, photo):
            cam.assert_attention_in_region(model, photo, [(6, 0, 8, 2), (6, 6, 8, 8)], "0", "gradcam")

        def test_not_outside(cam, model, photo):
            around = ~Box(3, 3, 6, 6)
            cam.assert_attention_not_in_region(model, photo, around, "0", "gradcam", metric="energy", at_most=0.1)

        def test_wrong_size(cam, model, photo):
            import numpy as np

            cam.assert_attention_in_region(model, photo, Mask(np.ones((4, 6), bool)), "0", "gradcam")
        """
    )

    result = project.run_with_artifacts()

    result.assert_outcomes(failed=4)
    output = result.stdout.str()
    for line in (
        "attention in mask: skill -0.07 < 0.25",
        "attention in region: skill -0.14 < 0.25",
        "region     (6, 0, 8, 2) | (6, 6, 8, 8)",
        "attention not in region: energy",
        "region     ~(3, 3, 6, 6) widened by one cell",
        "RegionError: mask is 6 x 4 pixels, and the image is 8 x 8",
    ):
        assert line in output
    documents = project.documents()
    assert set(documents) == {"test_mask", "test_boxes", "test_not_outside"}
    assert documents["test_mask"][0]["regions"] == [
        {"kind": "mask", "size": [8, 8], "counts": [14, 2, 6, 2, 40]},
    ]
    assert [part["kind"] for part in documents["test_boxes"][0]["regions"][0]["parts"]] == ["box", "box"]
    box = {"kind": "box", "outlines": [[[3, 3], [6, 3], [6, 6], [3, 6]]]}
    around = {"kind": "complement", "of": box}
    (outside,) = documents["test_not_outside"]
    assert outside["regions"] == [around]
    assert outside["measurements"][0]["region"] == {"kind": "widened", "by": [1, 1], "of": around}
    with Image.open(documents["test_mask"][0]["folder"] / "panel.png") as panel:
        tile = white(np.array(panel)[32:352, 12:332])
    assert tile[280, 37:44].any()
    assert tile[237:244, 80].any()
