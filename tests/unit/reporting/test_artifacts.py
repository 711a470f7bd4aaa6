"""Files written from evidence."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from pytest_cam.errors import ArtifactError
from pytest_cam.reporting import artifacts
from pytest_cam.reporting.artifacts import write_artifact
from pytest_cam.reporting.naming import folder_name
from pytest_cam.reporting.removing import files_in, remove_artifact, remove_earlier
from pytest_cam.running import sendable

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


def test_files_can_be_read_by_others(tmp_path, evidence):
    write_artifact(tmp_path, evidence, CONTEXT)

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


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
