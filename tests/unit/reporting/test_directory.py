"""The artifacts directory."""

from __future__ import annotations

import pytest

from pytest_cam.errors import ArtifactError
from pytest_cam.reporting.directory import directory_for, prepare_directory


def test_without_flag_and_ini_key_there_is_none(pytester):
    assert directory_for(pytester.parseconfig()) is None


def test_flag_is_relative_to_where_pytest_starts_and_wins_over_the_ini_key(pytester, monkeypatch):
    ini = pytester.makeini("[pytest]\ncam_artifacts = of_the_ini")
    elsewhere = pytester.mkdir("elsewhere")
    monkeypatch.chdir(elsewhere)

    assert directory_for(pytester.parseconfig("-c", ini)) == pytester.path / "of_the_ini"
    assert directory_for(pytester.parseconfig("-c", ini, "--cam-artifacts=here")) == elsewhere / "here"
    assert directory_for(pytester.parseconfig("-c", ini, "--cam-artifacts=/there")).as_posix() == "/there"


def test_tilde_is_the_home_of_the_user(pytester, monkeypatch):
    home = pytester.mkdir("home")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(home))
    pytester.makeini("[pytest]\ncam_artifacts = ~/of_the_ini")

    assert directory_for(pytester.parseconfig()) == home / "of_the_ini"
    assert directory_for(pytester.parseconfig("--cam-artifacts=~/here")) == home / "here"


@pytest.mark.parametrize("empty", ["", " "])
def test_empty_name_is_an_error_and_not_the_current_directory(pytester, empty):
    with pytest.raises(ArtifactError, match="is empty"):
        directory_for(pytester.parseconfig(f"--cam-artifacts={empty}"))


def test_directory_is_made_and_left_empty(tmp_path):
    prepare_directory(tmp_path / "deep" / "down")
    prepare_directory(tmp_path / "deep" / "down")

    assert list((tmp_path / "deep" / "down").iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_file_in_its_place_is_an_error(tmp_path, name):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(ArtifactError, match="is, or lies below, a file"):
        prepare_directory(tmp_path / name)
