"""Which baselines are left of test modules that are gone, and which files are not for us to judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_cam.baselines.files import write
from pytest_cam.baselines.gone import Leftovers, baselines_of_gone_modules, owner
from pytest_cam.baselines.keys import file_name, module_directory
from tests.steps import steps_of

NAME = "attention_baselines"


def keep(baseline, module: Path, variant: str | None = None) -> Path:
    path = module_directory(module, NAME) / file_name(module, "test_looks", None, variant)
    write(path, path.name, replace(baseline, test=f"{module.name}::test_looks", variant=variant), None)
    return path


def test_only_of_modules_that_are_not_there(baseline, tmp_path) -> None:
    here, gone = tmp_path / "test_here.py", tmp_path / "test_gone with a blank.py"
    here.touch()
    keep(baseline, here)
    left = [keep(baseline, gone, variant) for variant in (None, "linux-cuda")]
    assert baselines_of_gone_modules(tmp_path, NAME) == sorted(left)
    gone.touch()
    assert baselines_of_gone_modules(tmp_path, NAME) == []


def test_what_does_not_say_that_it_is_of_a_gone_module_is_not_ours(baseline, tmp_path) -> None:
    path = keep(baseline, tmp_path / "test_gone.py")
    moved = tmp_path / NAME / "test_elsewhere" / path.name
    moved.parent.mkdir()
    moved.write_bytes(path.read_bytes())
    for number, text in enumerate(("{}", "{", "[]", '{"test": "../test_gone.py::a"}', '{"test": ""}')):
        path.with_name(f"cat-0000000{number}.json").write_text(text)
    path.with_name("notes.json").write_bytes(path.read_bytes())
    assert baselines_of_gone_modules(tmp_path, NAME) == [path]
    assert baselines_of_gone_modules(tmp_path / "nowhere", NAME) == []


def test_namesake_is_of_the_same_test_and_variant(baseline, tmp_path) -> None:
    left = keep(baseline, tmp_path / "test_gone.py", "linux")
    new = tmp_path / "test_new.py"
    wanted = module_directory(new, NAME) / file_name(new, "test_looks", None, "linux")
    assert owner(left) == ("test_gone.py", "test_looks")
    assert Leftovers().namesake(wanted, "test_looks") == left
    assert Leftovers().namesake(wanted, "test_looks[1]") is None
    assert Leftovers().namesake(wanted.with_name(file_name(new, "test_looks", None, None)), "test_looks") is None


def test_former_test_is_one_that_the_module_does_not_have(baseline, tmp_path) -> None:
    module = tmp_path / "test_here.py"
    left = keep(baseline, module)
    wanted = left.with_name(file_name(module, "test_sees", None, None))
    assert Leftovers().former(wanted, module, "test_sees", ["test_sees"]) == left
    assert Leftovers().former(wanted, module, "test_sees", ["test_sees", "test_looks"]) is None
    assert Leftovers().former(wanted, module, "test_sees", []) is None
    other = left.with_name(file_name(module, "test_sees", None, "linux"))
    assert Leftovers().former(other, module, "test_sees", ["test_sees"]) is None


def test_former_test_is_none_of_a_class_that_was_not_looked_into_nor_of_a_baseline_with_a_name(
    baseline, tmp_path
) -> None:
    module = tmp_path / "test_here.py"
    left = keep(baseline, module)
    named = left.with_name(file_name(module, "test_looks", "dog", None))
    left.rename(named)
    within = left.with_name(file_name(module, "TestOld::test_looks", None, None))
    write(within, within.name, replace(baseline, test="test_here.py::TestOld::test_looks"), None)
    wanted = left.with_name(file_name(module, "test_sees", None, None))
    assert Leftovers().former(wanted, module, "test_sees", ["test_sees", "TestOld"]) is None
    assert Leftovers().former(wanted, module, "test_sees", ["test_sees"]) == within


def many(baseline, module: Path, test: str, ids) -> None:
    for each in ids:
        path = module_directory(module, NAME) / file_name(module, f"{test}[{each}]", None, None)
        write(path, path.name, replace(baseline, test=f"{module.name}::{test}[{each}]"), None)


def test_former_of_very_many_has_the_same_parameters_or_is_near_in_the_alphabet(baseline, tmp_path) -> None:
    module = tmp_path / "test_here.py"
    many(baseline, module, "test_looks", range(100, 200))
    leftovers = Leftovers()

    def former(test: str) -> str:
        path = module_directory(module, NAME) / file_name(module, test, None, None)
        left = leftovers.former(path, module, test, ["test_sees"])
        return owner(left)[1] if left else ""

    assert former("test_sees[147]") == "test_looks[147]"
    assert former("test_looks[147b]") == "test_looks[147]"
    assert former("test_sees") == "test_looks[199]"  # as near as any


def test_what_is_left_is_looked_for_once_however_many_tests_miss_theirs(baseline, tmp_path) -> None:
    def steps_of_another(count: int) -> int:
        here, gone = tmp_path / str(count) / "test_here.py", tmp_path / str(count) / "test_gone.py"
        many(baseline, here, "test_old", range(count))
        many(baseline, gone, "test_older", range(count))
        here.touch()
        leftovers, tests = Leftovers(), [f"test_new[{number}]" for number in range(count)]

        def ask(test: str) -> Path | None:
            path = module_directory(here, NAME) / file_name(here, test, None, None)
            return leftovers.namesake(path, test) or leftovers.former(path, here, test, tests)

        assert owner(ask("test_new[0]"))[1] == "test_old[0]"
        return steps_of(lambda: ask("test_new[59]"))

    assert steps_of_another(180) == steps_of_another(60)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"test": 3}'])
def test_owner_of_what_does_not_say_is_nobody(tmp_path, text) -> None:
    (tmp_path / "file.json").write_text(text)
    assert owner(tmp_path / "file.json")[1] == ""
