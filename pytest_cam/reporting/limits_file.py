"""The limits file: what calibration writes and later runs read."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_cam.atomic import write_bytes
from pytest_cam.errors import ArtifactError, SettingError, nearest
from pytest_cam.running import Agreed, Key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = 1
_TEXTS, _SIDES, _TOLD = ("test", "check", "metric"), ("at_least", "at_most"), ("value", "chance", "ceiling")
_KEYS = ("test", "number", "check", "metric", *_SIDES, *_TOLD)
_HEAD = """\
# The limits of attention checks, proposed by `pytest --cam-calibrate` from an accepted model.
# value, chance and ceiling are told for readers; only at_least and at_most are applied. A test without its parameters
# in brackets stands for all of them that have no limit of their own.
"""


@dataclass(frozen=True)
class Entry:
    """One limit of the file.

    Attributes:
        key: Which number of which check.
        agreed: Its limits.
        value: What the accepted model had, or None.
        chance: The energy of a map that is the same everywhere, or None.
        ceiling: The most energy that a map can put in the region, or None.
    """

    key: Key
    agreed: Agreed
    value: float | None = None
    chance: float | None = None
    ceiling: float | None = None


def write_limits(path: Path, entries: Iterable[Entry]) -> None:
    """Write a limits file; the same entries make the same bytes.

    Raises:
        ArtifactError: The file cannot be written.
    """
    parts = [f"{_HEAD}format = {FORMAT}\n", *(_written(entry) for entry in sorted(entries, key=lambda each: each.key))]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, "\n".join(parts).encode())
    except OSError as error:
        raise ArtifactError(f"limits file {path} could not be written: {error}") from error


def read_limits(path: Path) -> dict[Key, Entry]:
    """Read a limits file.

    Raises:
        SettingError: It cannot be read, is no TOML, of a later format, or an entry of it makes no sense.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin it with a mark
    except FileNotFoundError:
        raise SettingError(f"limits file {path} does not exist; pytest --cam-calibrate writes it") from None
    except OSError as error:
        raise SettingError(f"limits file {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SettingError(f"limits file {path} is no UTF-8 text: {error}") from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        conflict = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith("<<<<<<<")]
        what = f"has the marks of a merge conflict, at line {conflict[0]}" if conflict else f"is no TOML: {error}"
        raise SettingError(f"limits file {path} {what}") from None
    try:
        return _entries(document)
    except SettingError as error:
        raise SettingError(f"limits file {path}: {error}") from None


def _written(entry: Entry) -> str:
    lines = ["[[limit]]", f"test = {_quoted(entry.key.test)}", f"number = {entry.key.number}"]
    lines += [f"check = {_quoted(entry.key.check)}", f"metric = {_quoted(entry.key.metric)}"]
    numbers = {**entry.agreed._asdict(), **{name: getattr(entry, name) for name in _TOLD}}
    # Python's shortest text of a finite float is a float of TOML.
    lines += [f"{name} = {float(value)!r}" for name, value in numbers.items() if value is not None]
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    # A basic string of TOML is one of JSON, but for the character DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _entries(document: dict[str, Any]) -> dict[Key, Entry]:
    if "format" not in document:
        raise SettingError(f"format is missing; accepted: format = {FORMAT}")
    version = document["format"]
    if type(version) is not int or version != FORMAT:
        raise SettingError(f"format is {version!r}; this version of pytest-cam reads format {FORMAT}")
    for name in document:
        if name not in ("format", "limit"):
            raise SettingError(f"there is no key {name!r}. {nearest(name, ('format', 'limit'))}")
    tables = document.get("limit", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SettingError("limit is no list of tables; accepted: [[limit]] before each entry")
    entries: dict[Key, Entry] = {}
    for index, table in enumerate(tables, 1):
        entry = _entry(table, f"[[limit]] {index}")
        if entry.key in entries:
            raise SettingError(f"[[limit]] {index}: there is another entry for {entry.key}")
        entries[entry.key] = entry
    return entries


def _entry(table: dict[str, Any], where: str) -> Entry:
    for name in table:
        if name not in _KEYS:
            raise SettingError(f"{where}: there is no key {name!r}. {nearest(name, _KEYS)}")
    for name in _TEXTS:
        if not isinstance(table.get(name), str) or not table[name]:
            raise SettingError(f"{where}: {name} is {_given(table, name)}; accepted: a text")
    number = table.get("number")
    if type(number) is not int or number < 1:
        raise SettingError(f"{where}: number is {_given(table, 'number')}; accepted: a whole number from 1")
    key = Key(table["test"], number, table["check"], table["metric"])
    numbers = {name: _number(table, name, f"{where} ({key})") for name in (*_SIDES, *_TOLD)}
    at_least, at_most = (numbers.pop(side) for side in _SIDES)
    _require_sense(at_least, at_most, key.metric, f"{where} ({key})")
    return Entry(key, Agreed(at_least, at_most), **numbers)


def _number(table: dict[str, Any], name: str, where: str) -> float | None:
    if name not in table:
        return None
    value = table[name]
    if type(value) not in (int, float) or not math.isfinite(value):
        raise SettingError(f"{where}: {name} is {value!r}; accepted: a finite number")
    return float(value)


def _require_sense(at_least: float | None, at_most: float | None, metric: str, where: str) -> None:
    # Imports numpy, which a run that reads limits is about to need.
    from pytest_cam.measures.localization import METRICS
    from pytest_cam.verdicts.limits import bound_said

    if at_least is None and at_most is None:
        raise SettingError(f"{where}: neither at_least nor at_most is given")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise SettingError(f"{where}: at_least = {at_least:g} is above at_most = {at_most:g}, and no value passes")
    known = METRICS.get(metric)
    for side, value in (("at_least", at_least), ("at_most", at_most)):
        if known is not None and value is not None and not known.low <= value <= known.high:
            raise SettingError(
                f"{where}: {side} = {value:g} is outside the range of {metric}, {bound_said(known.low)} to "
                f"{bound_said(known.high)}"
            )


def _given(table: dict[str, Any], name: str) -> str:
    return repr(table[name]) if name in table else "missing"
