"""What a run knows of its tests."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_cam.running import Agreed, Key, Running, fixture_of_several, id_of, is_in_ci, plain_id


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


def test_the_limit_of_a_test_goes_before_that_of_all_its_repetitions_and_that_before_its_functions() -> None:
    running, names = Running(), ["test_a.py::test_red[dog-1-2]", "test_a.py::test_red[dog]", "test_a.py::test_red"]
    running.begin(names[0], function=names[2], once=names[1])
    given = {Key(name, 1, "attention in box", "skill"): Agreed(at_least=0.1 * n) for n, name in enumerate(names, 1)}
    for key in list(given):
        running.agreed = given
        assert running.agreed_for(1, "attention in box", "skill") == given.pop(key)

    assert running.agreed_for(1, "attention in box", "skill") is None


def test_fixtures_that_tests_share_leave_no_wrapper_on_their_nodes() -> None:
    node = SimpleNamespace(addfinalizer=lambda finalizer: None, listchain=lambda: [node])
    before = node.addfinalizer
    with fixture_of_several(SimpleNamespace(node=node, addfinalizer=node.addfinalizer)):
        assert node.addfinalizer is not before

    assert node.addfinalizer is before
