"""Folder names."""

from __future__ import annotations

import re

import pytest

from pytest_cam.reporting.naming import folder_name


def test_name_is_a_readable_slug_and_a_digest():
    name = folder_name("tests/test_model.py::TestDog::test_looks[Größe 1]", 0)

    assert re.fullmatch(r"tests-test-model-testdog-test-looks-gr-e-1-[0-9a-f]{8}", name)


def test_further_artifacts_of_a_test_are_numbered_from_two():
    first = folder_name("test_model.py::test_dog", 0)

    assert [folder_name("test_model.py::test_dog", index) for index in (1, 2)] == [f"{first}-2", f"{first}-3"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("t.py::test[a/b]", "t.py::test[a:b]"),
        ("t.py::test[ab]", "t.py::test[AB]"),
        ("t.py::test[a b]", "t.py::test[a--b]"),
        ("t.py::test[" + "x" * 300, "t.py::test[y" + "x" * 299),
        ("t.py::test[猫]", "t.py::test[犬]"),
    ],
)
def test_tests_whose_slugs_are_the_same_have_folders_of_their_own(one, other):
    slugs = {folder_name(nodeid, 0)[:-9] for nodeid in (one, other)}

    assert len(slugs) == 1
    assert folder_name(one, 0) != folder_name(other, 0)


@pytest.mark.parametrize("nodeid", ["t.py::test[" + "é" * 300 + "]", "t.py::test[" + "x" * 3000 + "]", "::", "\udcff"])
def test_any_id_gives_a_name_that_every_file_system_takes(nodeid):
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,88}", folder_name(nodeid, 0))
