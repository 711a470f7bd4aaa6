"""Names of files: readable, and never the same for two baselines."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_cam.baselines.keys import baselines_in, file_name, is_variant, module_directory

MODULE = Path("/project/tests/test_dogs.py")


def test_file_says_which_test_it_is_of() -> None:
    name = file_name(MODULE, "TestDogs::test_looks[3]", None, None)
    assert name.startswith("testdogs-test-looks-3-")
    assert len(name) == len("testdogs-test-looks-3-01234567.json")
    assert file_name(MODULE, "TestDogs::test_looks[3]", None, "linux") == name.replace(".json", ".linux.json")


def test_no_two_baselines_share_a_file() -> None:
    tests = ["t[a/b]", "t[a:b]", "t[ab]", "t[a b]", "T[ab]", "t[é]", "t[è]", "t[猫]", "t[犬]", "x" * 300, "x" * 301, ""]
    names = {file_name(MODULE, test, name, None).lower() for test in tests for name in (None, test)}
    other = {file_name(Path("test_dogs.txt"), test, None, None).lower() for test in tests}
    assert len(names) == 2 * len(tests)
    assert not names & other
    assert max(map(len, names)) < 80


def test_name_stands_for_the_test_and_its_accents_may_be_composed_either_way() -> None:
    assert file_name(MODULE, "test_a", "dog", None) == file_name(MODULE, "test_b", "dog", None)
    assert file_name(MODULE, "test_a", "h\u00fcndin", None) == file_name(MODULE, "test_a", "hu\u0308ndin", None)


def test_digest_depends_on_neither_root_nor_directory() -> None:
    assert file_name(MODULE, "test_a", None, None) == file_name(Path("elsewhere/test_dogs.py"), "test_a", None, None)


@pytest.mark.parametrize("stem", ["test_hündin", "test_hundin é", "x" * 200, "test dogs"])
def test_directory_of_a_module_with_an_unusual_name_is_plain(stem: str) -> None:
    directory = module_directory(MODULE.with_name(f"{stem}.py"), "maps")
    assert directory.parent == MODULE.parent / "maps"
    assert directory.name.isascii()
    assert len(directory.name) < 80
    assert directory != module_directory(MODULE.with_name(f"{stem}2.py"), "maps")


def test_directory_of_a_module_has_its_name() -> None:
    assert module_directory(MODULE, "maps") == MODULE.parent / "maps" / "test_dogs"


def test_only_files_of_the_pattern_and_the_variant_are_baselines(tmp_path: Path) -> None:
    ours = [file_name(MODULE, "test_a", None, None), file_name(MODULE, "test_a", None, "linux")]
    for name in (*ours, "notes.json", "test-a-0123456.json", "test-a-01234567.png", "test-a-01234567.a b.json"):
        (tmp_path / name).touch()
    (tmp_path / "test-b-01234567.json").mkdir()
    assert [path.name for path in baselines_in(tmp_path, None)] == ours[:1]
    assert [path.name for path in baselines_in(tmp_path, "linux")] == ours[1:]
    assert baselines_in(tmp_path / "missing", None) == []


@pytest.mark.parametrize(
    ("value", "accepted"),
    [(None, True), ("linux-cuda_2", True), ("", False), ("a/b", False), ("a.b", False), ("é", False), (3, False)],
)
def test_variants(value: object, accepted: bool) -> None:
    assert is_variant(value) == accepted
