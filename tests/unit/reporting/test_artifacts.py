"""Files written from evidence."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from pytest_cam.errors import ArtifactError
from pytest_cam.images.geometry import Geometry
from pytest_cam.reporting import artifacts
from pytest_cam.reporting.artifacts import write_artifact
from pytest_cam.reporting.naming import folder_name
from pytest_cam.reporting.removing import files_in, remove_artifact, remove_earlier
from pytest_cam.running import sendable
from pytest_cam.verdicts.findings import Figure, Findings, View
from pytest_cam.verdicts.limits import Limits

CONTEXT = {"test": "test_model.py::test_dog", "phase": "call", "outcome": "failed"}
FILES = [
    "attention.json",
    "grayscale.png",
    "heatmap.png",
    "map.npy",
    "original.png",
    "overlay.png",
    "panel.png",
]


@contextmanager
def files_up_to(size: int):
    """Let no file grow beyond so many bytes: writing fails in its middle, as on a full disk."""
    resource = pytest.importorskip("resource", reason="needs a system that can limit the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_folder_gets_its_files_and_no_other(tmp_path, evidence):
    write_artifact(tmp_path / "deep" / "folder", evidence, CONTEXT)

    assert names(tmp_path / "deep" / "folder") == sorted(FILES)


def corners(x1, y1, x2, y2):
    return {"kind": "box", "outlines": [[[x1, y1], [x2, y1], [x2, y2], [x1, y2]]]}


CROP = Geometry((16, 8), (8, 8), ((1.0, 0.0, -4.0), (0.0, 1.0, 0.0)))
SEEN_OF_IT = {
    "name": "input tensor",
    "size": [16, 8],
    "input_size": [8, 8],
    "image_to_input": [[1, 0, -4], [0, 1, 0]],
    "seen": [4, 0, 12, 8],
}


def test_all_numbers_of_one_map_are_in_its_document(tmp_path, evidence):
    measured = replace(evidence.measurements[0], limits=Limits(0.25, 0.75, "the call"))
    write_artifact(tmp_path, replace(evidence, geometry=CROP, measurements=(measured,)), CONTEXT)

    document = json.loads((tmp_path / "attention.json").read_text())
    libraries = {"python", "pytest-cam", "pytest", "torch", "torchvision", "numpy", "pillow", "opencv-python"}
    assert set(document.pop("versions")) == libraries
    (measurement,) = document.pop("measurements")
    assert document == {
        "format": 1,
        **CONTEXT,
        "decision": "attention in box: skill -0.16 < 0.25 (gradcam, 0)",
        "check": "attention in box",
        "method": "gradcam",
        "layer": "0",
        "layer_call": 1,
        "layer_calls": 1,
        "layout": "NCHW, 8 x 8",
        "explained": {
            "target": 1,
            "name": "class 1",
            "score": 0.25,
            "probability": pytest.approx(1 / (1 + math.exp(-0.25))),
            "predicted": 1,
            "predicted_name": "class 1",
            "note": "the single logit",
            "of_probabilities": False,
            "fixed": None,
        },
        "image": SEEN_OF_IT,
        "map": {"shape": [8, 8], "max": 1 / 64, "sum": 0.25},
        "regions": [corners(5, 5, 8, 8)],
        "attended_boxes": [corners(5, 1, 9, 5)],  # four columns further right than in the input
        "files": sorted(FILES),
    }
    chance = 9 / 64
    assert measurement == {
        "metric": "skill",
        "value": pytest.approx(-chance / (1 - chance)),
        "at_least": 0.25,
        "at_most": 0.75,
        "limits_from": "the call",
        "margin": pytest.approx(-chance / (1 - chance) - 0.25),
        "passed": False,
        "region": corners(5, 5, 8, 8),
        "energy": 0,
        "chance": chance,
        "ceiling": 1,
        "peak": [1.5, 1.5],
        "peak_distance": pytest.approx(math.hypot(3.5, 3.5)),
        "tied_cells": 16,
        "visible_share": 1,
    }


def test_all_numbers_of_several_maps_are_in_their_document(tmp_path, evidence):
    views = (
        View("reference", "as it is", evidence.picture, evidence.map, CROP, {"score": np.float32(0.5)}),
        View("hidden", "without", evidence.picture),
    )
    figure = Figure("drop", 0.1, Limits(0.3, origin="the call"), "how far it falls")
    region = evidence.regions[0]
    findings = Findings(
        "needs box", "blur", (figure,), views, "input tensor", CROP, (("rule", "strict"),), (region,), problem="why"
    )
    write_artifact(tmp_path, findings, CONTEXT)

    document = json.loads((tmp_path / "attention.json").read_text())
    assert document.pop("versions")
    assert document == {
        "format": 1,
        **CONTEXT,
        "decision": "why",
        "check": "needs box",
        "how": "blur",
        "image": SEEN_OF_IT,
        "regions": [corners(5, 5, 8, 8)],
        "measurements": [
            {
                "metric": "drop",
                "meaning": "how far it falls",
                "value": 0.1,
                "at_least": 0.3,
                "at_most": None,
                "limits_from": "the call",
                "margin": pytest.approx(-0.2),
                "passed": False,
            }
        ],
        "views": [
            {
                "name": "reference",
                "title": "as it is",
                "map": {"shape": [8, 8], "max": 1 / 64, "sum": 0.25},
                "score": 0.5,
            },
            {"name": "hidden", "title": "without", "map": None},
        ],
        "facts": {"rule": "strict"},
        "files": names(tmp_path),
    }
    assert names(tmp_path) == [
        "attention.json",
        "hidden-original.png",
        "hidden.png",
        "panel.png",
        "reference-original.png",
        "reference.npy",
        "reference.png",
    ]


def test_files_can_be_read_by_others(tmp_path, evidence):
    write_artifact(tmp_path, evidence, CONTEXT)

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


def test_pictures_are_compressed_fast(tmp_path, evidence):
    write_artifact(tmp_path, evidence, CONTEXT)

    levels = set()
    for path in tmp_path.glob("*.png"):
        _, stream = path.read_bytes().split(b"IDAT", 1)
        levels.add(stream[1] >> 6)  # FLEVEL of RFC 1950: 0 fastest, 1 fast, 2 the default, 3 smallest
    assert levels == {1}


def test_write_that_fails_in_the_middle_leaves_no_half_file_and_keeps_what_was_there(tmp_path, evidence):
    (tmp_path / "panel.png").write_bytes(b"of an earlier run")

    # The numbers take some 3000 bytes, the panel many thousands.
    with files_up_to(8000), pytest.raises(ArtifactError, match=r"could not be written: .*File too large"):
        write_artifact(tmp_path, evidence, CONTEXT)

    assert (tmp_path / "panel.png").read_bytes() == b"of an earlier run"
    np.testing.assert_array_equal(np.load(tmp_path / "map.npy"), evidence.map)
    assert set(names(tmp_path)) <= set(FILES)


@pytest.mark.parametrize("size", [1000, 8000])
def test_what_a_full_disk_leaves_of_an_artifact_goes_when_its_test_has_run_again(tmp_path, evidence, size):
    folder = tmp_path / folder_name(CONTEXT["test"], 0)

    # As above: the first lets nothing be written, the second all but the panel.
    with files_up_to(size), pytest.raises(ArtifactError, match=r"could not be written: .*File too large"):
        write_artifact(folder, evidence, CONTEXT)
    left = folder.exists()
    remove_earlier(tmp_path, [CONTEXT["test"]], ())

    assert left is (size == 8000)
    assert names(tmp_path) == []


def test_folder_whose_name_is_taken_by_a_file_is_an_error(tmp_path, evidence):
    (tmp_path / "taken").write_text("mine")

    with pytest.raises(ArtifactError, match="taken could not be written"):
        write_artifact(tmp_path / "taken", evidence, CONTEXT)

    assert (tmp_path / "taken").read_text() == "mine"


def test_numbers_and_original_are_there_when_drawing_fails(tmp_path, evidence, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("while drawing")

    monkeypatch.setattr(artifacts, "pictures", fail)

    with pytest.raises(ArtifactError, match=r"has no pictures: drawing failed(.|\n)*ZeroDivisionError: while drawing"):
        write_artifact(tmp_path, evidence, CONTEXT)

    assert names(tmp_path) == ["attention.json", "map.npy", "original.png"]
    assert json.loads((tmp_path / "attention.json").read_text())["attended_boxes"] is None  # what draws finds them


def test_decision_is_what_kept_the_check_from_a_verdict(tmp_path, evidence):
    write_artifact(tmp_path, replace(evidence, problem="there is no baseline dog.json"), CONTEXT)

    assert json.loads((tmp_path / "attention.json").read_text())["decision"] == "there is no baseline dog.json"


def test_path_that_is_no_text_is_kept_in_the_numbers(tmp_path, evidence):
    # What Python makes of a file name with a byte that is no UTF-8.
    named = replace(evidence, image_name="größe-\udcff.png")

    write_artifact(tmp_path, named, CONTEXT)

    assert json.loads((tmp_path / "attention.json").read_bytes())["image"]["name"] == "größe-\udcff.png"


def test_value_that_is_no_number_is_null(tmp_path, evidence):
    undecided = replace(evidence, measurements=(replace(evidence.measurements[0], value=float("nan")),))

    write_artifact(tmp_path, undecided, CONTEXT)

    (measurement,) = json.loads((tmp_path / "attention.json").read_text())["measurements"]
    assert measurement["value"] is measurement["margin"] is None
    assert measurement["passed"] is False


def test_files_of_an_earlier_artifact_in_the_folder_go(tmp_path, evidence):
    manifest = {"files": ["attention.json", "reference.png", "map.npy", "../outside.png"]}
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "attention.json").write_text(json.dumps(manifest))
    for name in ("folder/reference.png", "folder/notes.txt", "outside.png"):
        (tmp_path / name).touch()

    write_artifact(tmp_path / "folder", evidence, CONTEXT)

    assert names(tmp_path / "folder") == sorted([*FILES, "notes.txt"])
    assert files_in(tmp_path / "folder") == set(FILES)
    assert (tmp_path / "outside.png").exists()


@pytest.mark.parametrize(
    "manifest", ["{", "[1]", '{"files": 3}', '{"files": [3, null, "../notes.txt"]}', "[" * 100_000, "\udcff"]
)
def test_damaged_manifest_names_no_file(tmp_path, manifest):
    (tmp_path / "attention.json").write_bytes(manifest.encode("utf-8", "surrogateescape"))

    assert files_in(tmp_path) == set()


def test_only_what_a_test_that_ran_left_is_removed(tmp_path, evidence):
    test = CONTEXT["test"]
    own, second, other = folder_name(test, 0), folder_name(test, 1), folder_name("test_model.py::test_cat", 0)
    for name, context in ((own, {}), (second, {}), (other, {}), (f"{own}-3", {"test": "another"}), ("elsewhere", {})):
        write_artifact(tmp_path / name, evidence, CONTEXT | context)
    (tmp_path / f"{own}-4").symlink_to(tmp_path / "elsewhere")
    (tmp_path / f"{own}-5").mkdir()

    assert remove_earlier(tmp_path, [test], {str(tmp_path / own)}) == (1, [])

    assert set(names(tmp_path)) == {own, other, f"{own}-3", f"{own}-4", f"{own}-5", "elsewhere"}
    assert names(tmp_path / "elsewhere") == sorted(FILES)


def test_what_this_run_wrote_stays_whatever_bytes_the_directory_is_named_with(tmp_path, evidence):
    test, directory = CONTEXT["test"], tmp_path / "k\udcc3\udcbcnstlich"
    for number in range(2):
        write_artifact(directory / folder_name(test, number), evidence, CONTEXT)

    assert remove_earlier(directory, [test], {sendable(str(directory / folder_name(test, 0)))}) == (1, [])

    assert names(directory) == [folder_name(test, 0)]


def test_removing_leaves_what_others_put_there(tmp_path, evidence):
    write_artifact(tmp_path / "alone", evidence, CONTEXT)
    write_artifact(tmp_path / "shared", evidence, CONTEXT)
    (tmp_path / "shared" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")

    for name in ("alone", "shared", "file", "missing"):
        remove_artifact(tmp_path / name)

    assert names(tmp_path) == ["file", "shared"]
    assert names(tmp_path / "shared") == ["notes.txt"]
