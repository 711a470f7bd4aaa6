"""The limits file: written as it is read, and refused with its file and key where it makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cam.errors import ArtifactError, SettingError
from pytest_cam.reporting.limits_file import Entry, read_limits, write_limits
from pytest_cam.running import Agreed, Key, sendable

ENTRY = Entry(Key("test_a.py::test_b[c]", 1, "attention in box", "skill"), Agreed(0.5), 0.6, 0.1, 0.9)
WHOLE = {
    "test": '"test_a.py::test_b"',
    "number": "1",
    "check": '"attention in box"',
    "metric": '"skill"',
    "at_least": "0.5",
}


def table(**changed: str | None) -> str:
    lines = (f"{name} = {value}\n" for name, value in (WHOLE | changed).items() if value is not None)
    return "format = 1\n[[limit]]\n" + "".join(lines)


def test_file_is_sorted_and_says_what_it_is(tmp_path: Path) -> None:
    other = Entry(Key("test_a.py::test_a", 2, "maps agree", "EMD"), Agreed(at_most=0.15))
    write_limits(tmp_path / "limits.toml", [ENTRY, other])

    head, first, second = (tmp_path / "limits.toml").read_text(encoding="utf-8").split("\n\n")
    assert head.splitlines()[0].startswith("# The limits of attention checks, proposed by `pytest --cam-calibrate`")
    assert head.splitlines()[-1] == "format = 1"
    assert first == (
        '[[limit]]\ntest = "test_a.py::test_a"\nnumber = 2\ncheck = "maps agree"\nmetric = "EMD"\nat_most = 0.15'
    )
    assert second == (
        '[[limit]]\ntest = "test_a.py::test_b[c]"\nnumber = 1\ncheck = "attention in box"\nmetric = "skill"\n'
        "at_least = 0.5\nvalue = 0.6\nchance = 0.1\nceiling = 0.9\n"
    )
    assert read_limits(tmp_path / "limits.toml") == {ENTRY.key: ENTRY, other.key: other}
    assert [path.name for path in tmp_path.iterdir()] == ["limits.toml"]


def test_directory_of_the_file_is_made(tmp_path: Path) -> None:
    for _ in range(2):
        write_limits(tmp_path / "new" / "ci" / "limits.toml", [ENTRY])
    assert read_limits(tmp_path / "new" / "ci" / "limits.toml") == {ENTRY.key: ENTRY}


@given(
    st.text(min_size=1).map(sendable),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(categories=["Cc", "Zl", "Zp", "Cf", "So"]), min_size=1),
)
def test_whatever_a_test_is_called_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, limit: float, check: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    entry = Entry(Key(name, 1, check, "EMD"), Agreed(at_most=limit))
    write_limits(path, [entry])
    assert read_limits(path) == {entry.key: entry}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "format is missing; accepted: format = 1"),
        ("format = 2", "format is 2; this version of pytest-cam reads format 1"),
        ("format = true", "format is True; this version"),
        ('format = "1"', "format is '1'; this version"),
        ("format = 1\nlimits = []", "there is no key 'limits'. Did you mean 'limit'?"),
        ("format = 1\nlimit = 3", "limit is no list of tables; accepted: [[limit]] before each entry"),
        ("format = 1\n[limit]\n", "limit is no list of tables"),
        ("format = 1\nlimit = [1]", "limit is no list of tables"),
        ("format = 1\nformat = 1", "is no TOML: "),
        ("format = 1\n<<<<<<< HEAD\n=======\n>>>>>>> retrained\n", "has the marks of a merge conflict, at line 2"),
        ("format = 1\n\n[[limit]]\nnumber = \n", "(at line 4, column 10)"),
        (table(test=None), "[[limit]] 1: test is missing; accepted: a text"),
        (table(test='""'), "[[limit]] 1: test is ''; accepted: a text"),
        (table(check="3"), "[[limit]] 1: check is 3; accepted: a text"),
        (table(number="0"), "[[limit]] 1: number is 0; accepted: a whole number from 1"),
        (table(number="1.0"), "number is 1.0; accepted: a whole number from 1"),
        (table(number="true"), "number is True; accepted: a whole number from 1"),
        (table(at_lest="0.5"), "[[limit]] 1: there is no key 'at_lest'. Did you mean 'at_least'"),
        (table(at_least="nan"), "#1 attention in box, skill): at_least is nan; accepted: a finite number"),
        (table(at_most="inf"), "at_most is inf; accepted: a finite number"),
        (table(at_least='"0.5"'), "at_least is '0.5'; accepted: a finite number"),
        (table(at_least="true"), "at_least is True; accepted: a finite number"),
        (table(value="nan"), "value is nan; accepted: a finite number"),
        (table(at_least=None), "neither at_least nor at_most is given"),
        (table(at_most="0.4"), "at_least = 0.5 is above at_most = 0.4, and no value passes"),
        (table(at_least="1.5"), "at_least = 1.5 is outside the range of skill, any number to 1"),
        (table(metric='"energy"', at_least="-0.1"), "at_least = -0.1 is outside the range of energy, 0 to 1"),
        (
            table() + table().removeprefix("format = 1\n"),
            "[[limit]] 2: there is another entry for test_a.py::test_b #1",
        ),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError) as raised:
        read_limits(path)
    assert str(raised.value).startswith(f"limits file {path}")
    assert words in str(raised.value)


def test_file_that_an_editor_of_windows_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    write_limits(path, [ENTRY])
    written = read_limits(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_limits(path) == written


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"binary\.toml is no UTF-8 text"):
        read_limits(tmp_path / "binary.toml")
    with pytest.raises(SettingError, match="cannot be read: Is a directory"):
        read_limits(tmp_path)
    with pytest.raises(ArtifactError, match="could not be written"):
        write_limits(tmp_path / "binary.toml" / "limits.toml", [ENTRY])
    (tmp_path / "taken").mkdir()
    with pytest.raises(ArtifactError, match="taken could not be written"):
        write_limits(tmp_path / "taken", [ENTRY])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["binary.toml", "taken"]
