"""What a run knows of its tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_cam.running import Running, id_of, is_in_ci, plain_id


@pytest.mark.parametrize("options", [{"loadgroup": True}, {"dist": "loadgroup"}])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("test_a.py::test_red@gpu", "test_a.py::test_red"),
        ("test_a.py::TestA::test_red[tight]@gpu_slow", "test_a.py::TestA::test_red[tight]"),
        ("test_a.py::test_red[a@b]@gpu", "test_a.py::test_red[a@b]"),
        ("test_a.py::test_red[a@b]", "test_a.py::test_red[a@b]"),
        ("me@home/test_a.py::test_red", "me@home/test_a.py::test_red"),
        ("me@home/test_a.py::test_red@gpu", "me@home/test_a.py::test_red"),
        ("test_a.py::test_red[a::b]\n@gpu", "test_a.py::test_red[a::b]\n@gpu"),
    ],
)
def test_the_group_of_a_test_is_taken_off_its_id(options: dict[str, object], given: str, expected: str) -> None:
    config = SimpleNamespace(option=SimpleNamespace(**options))
    assert plain_id(given, config) == expected


def test_without_groups_an_id_is_what_it_is() -> None:
    assert plain_id("test_a.py::test_red@gpu", SimpleNamespace(option=SimpleNamespace())) == "test_a.py::test_red@gpu"


@pytest.mark.parametrize(
    ("path", "given", "expected"),
    [
        ("/home/me/tests/unit/test_a.py", "unit/test_a.py::test_red", "unit/test_a.py::test_red"),
        ("/home/me/models/test_a.py", "::TestA::test_red", "../models/test_a.py::TestA::test_red"),
        ("/home/me/models/test_a.py", "test_a.py::test_red[a::b]", "../models/test_a.py::test_red[a::b]"),
        ("/home/me/models/test_a.py", "", "../models/test_a.py"),
    ],
)
def test_the_id_of_a_test_outside_of_the_root_has_its_path(path: str, given: str, expected: str) -> None:
    config = SimpleNamespace(option=SimpleNamespace(), rootpath=Path("/home/me/tests"))
    assert id_of(SimpleNamespace(nodeid=given, path=Path(path), config=config)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("true", True), ("1", True), ("github", True), ("", False), ("0", False), (" False ", False), ("no", False)],
)
def test_ci_may_be_set_to_say_that_there_is_none(given: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", given)
    assert is_in_ci() is expected


def test_without_ci_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert not is_in_ci()


def test_a_check_within_subtests_is_named_from_the_innermost_outwards() -> None:
    running = Running("test_a.py::test_red")
    for ended in (2, 1, 3):
        for _ in range(ended):
            running.begin_subtest()
            running.end_subtest()
        running.begin_subtest()

    assert running.named("attention in box") == "attention in box after 3 subtests of subtest 2 of subtest 3"


def test_a_subtest_that_ends_after_its_test_is_no_error() -> None:
    running = Running("test_a.py::test_red")
    running.begin_subtest()
    running.end()
    running.end_subtest()

    assert running.subtests == [1]
