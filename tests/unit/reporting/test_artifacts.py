"""Files written from evidence."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from pytest_cam.errors import ArtifactError
from pytest_cam.reporting import artifacts
from pytest_cam.reporting.artifacts import FILES, remove_artifact, write_artifact

CONTEXT = {"test": "test_model.py::test_dog", "phase": "call", "outcome": "failed"}


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

    # The map takes 384 bytes, the panel many thousands.
    with files_up_to(1000), pytest.raises(ArtifactError, match=r"could not be written: .*File too large"):
        write_artifact(tmp_path, evidence, CONTEXT)

    assert (tmp_path / "panel.png").read_bytes() == b"of an earlier run"
    np.testing.assert_array_equal(np.load(tmp_path / "map.npy"), evidence.map)
    assert set(names(tmp_path)) <= set(FILES)


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


def test_removing_leaves_what_others_put_there(tmp_path, evidence):
    write_artifact(tmp_path / "alone", evidence, CONTEXT)
    write_artifact(tmp_path / "shared", evidence, CONTEXT)
    (tmp_path / "shared" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")

    for name in ("alone", "shared", "file", "missing"):
        remove_artifact(tmp_path / name)

    assert names(tmp_path) == ["file", "shared"]
    assert names(tmp_path / "shared") == ["notes.txt"]
