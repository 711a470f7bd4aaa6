"""A verdict over several maps: what it says, and what is written down of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_cam import AttentionError, Box
from pytest_cam.images.geometry import Geometry
from pytest_cam.reporting.artifacts import write_artifact
from pytest_cam.reporting.removing import remove_artifact
from pytest_cam.verdicts.findings import Figure, Findings, View
from pytest_cam.verdicts.judging import judge
from pytest_cam.verdicts.limits import Limits
from pytest_cam.verdicts.message import message, number

SIZE = (16, 8)


@pytest.fixture
def findings() -> Findings:
    geometry = Geometry.identity(SIZE)
    picture = np.full((8, 16, 3), 200, np.uint8)
    left, right = np.zeros((2, 4), np.float32), np.zeros((2, 4), np.float32)
    left[0, 0], right[1, 3] = 2, 3
    return Findings(
        "attention agrees",
        "gradcam++, layer4",
        (
            Figure("Pearson", -0.33, Limits(at_least=0.6), "how alike the maps are"),
            Figure("EMD", 0.1, Limits(at_most=0.15)),
            Figure("cosine", 0.0),
        ),
        (
            View("model", "the model", picture, left, geometry, {"layer": "layer4"}),
            View("reference", "the reference", picture, right, geometry),
            View("plain", "without a map", picture),
        ),
        "photo.png",
        geometry,
        facts=(("explained", "class 3"),),
        regions=(Box(0, 0, 4, 4),),
        hints=("compare the preprocesses",),
    )


def test_text_says_what_failed_and_shows_the_maps_beside_one_another(findings: Findings) -> None:
    lines = message(findings).splitlines()
    assert lines[0] == "attention agrees: Pearson -0.33 < 0.6 (gradcam++, layer4)"
    assert "  Pearson    -0.33, FAILS at least 0.6; how alike the maps are" in lines
    assert "  EMD        0.1, passes at most 0.15" in lines
    assert "  cosine     0" in lines
    assert "  explained  class 3" in lines
    assert "  image      photo.png, 16 x 8" in lines
    (titles,) = (line for line in lines if "the model" in line)
    top = lines[lines.index(titles) + 1]
    assert titles.index("the reference") == top.rindex("┌" if "┌" in top[5:] else "┏")
    assert lines[-1] == "  try: compare the preprocesses"


@pytest.mark.parametrize(
    ("value", "limits", "words"),
    [
        (0.99871, Limits(at_least=0.999), "0.9987, FAILS at least 0.999"),
        (0.150012, Limits(at_most=0.15), "0.15001, FAILS at most 0.15"),
        (0.60012, Limits(at_least=0.6001), "0.6001, passes at least 0.6001"),
        (0.599998, Limits(at_least=0.6), "0.599998, FAILS at least 0.6"),
        (0.59999999, Limits(at_least=0.6), "0.6, passes at least 0.6"),
    ],
)
def test_number_has_the_digits_that_tell_it_from_its_limit(value: float, limits: Limits, words: str) -> None:
    assert number(Figure("cosine", value, limits)) == words


def test_verdict_falls_only_where_a_figure_fails(findings: Findings) -> None:
    judge(findings.check, findings.figures[1:], lambda held: pytest.fail("evidence is made for nothing"))
    with pytest.raises(AttentionError) as caught:
        judge(findings.check, findings.figures, lambda held: findings)
    assert caught.value.evidence is findings


def test_figure_that_is_no_number_fails() -> None:
    for limits in (Limits(at_most=1), Limits(at_least=0), Limits(0, 1), Limits()):
        assert not Figure("Pearson", float("nan"), limits).passed
    assert Figure("Pearson", 0.5, Limits(at_least=0.25, at_most=1)).margin == 0.25


def test_files_show_and_tell_each_view_and_leave_together(findings: Findings, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write_artifact(folder, findings, {"test": "a::b"})
    document = json.loads((folder / "attention.json").read_text(encoding="utf-8"))
    assert sorted(path.name for path in folder.iterdir()) == document["files"]
    assert {"panel.png", "model.png", "model.npy", "model-original.png", "plain.png"} <= set(document["files"])
    assert "plain.npy" not in document["files"]
    assert [figure["passed"] for figure in document["measurements"]] == [False, True, True]
    assert document["measurements"][0]["margin"] == pytest.approx(-0.93)
    assert document["views"][0] == {
        "name": "model",
        "title": "the model",
        "map": {"shape": [2, 4], "max": 2.0, "sum": 2.0},
        "layer": "layer4",
    }
    assert np.load(folder / "reference.npy")[1, 3] == 3
    with Image.open(folder / "panel.png") as panel:
        assert panel.width > 3 * 320
    remove_artifact(folder)
    assert not folder.exists()


def test_map_is_drawn_where_it_is_strong(findings: Findings, tmp_path: Path) -> None:
    write_artifact(tmp_path, findings, {})
    with Image.open(tmp_path / "reference.png") as drawn:
        red = np.asarray(drawn)[..., 0].astype(int) - np.asarray(drawn)[..., 2]
    assert red[7, 15] > 50
    assert red[0, 8] < 0
