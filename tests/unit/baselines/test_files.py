"""The files of baselines: bytes that stay the same, and an error for each thing that can be wrong with them."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_cam.baselines.baseline import Baseline, rounded
from pytest_cam.baselines.files import read, text_of, write
from pytest_cam.baselines.keys import picture_of
from pytest_cam.baselines.model_identity import ModelIdentity
from pytest_cam.errors import BaselineError, NewerBaselineError
from pytest_cam.images.geometry import Geometry


def test_what_is_read_is_what_was_written_and_is_written_the_same(baseline: Baseline, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "test-a-01234567.json"
    write(path, "a", baseline, np.zeros((4, 4, 3), dtype=np.uint8))
    first = path.read_bytes(), path.stat().st_mtime_ns
    found = read(path, "a")

    assert found is not None
    assert text_of(found) == text_of(baseline)
    write(path, "a", found, None)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == first
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, picture_of(path).name]


@pytest.mark.parametrize(
    "of",
    [
        {"geometry": Geometry((20, 10), (9, 6), ((0.45, 0.0, 1.5), (0.0, 0.6, -2.5)))},
        {"map": np.array([[0.25, 1.0, 0.5]])},
        {"image_range": None},
        {"image_range": (-2.12, 2.64)},
        {"target": None, "target_name": "the score of a box"},
        {"target": 208, "target_name": "Labrador"},
        {"image_name": "gr\u00f6\u00dfe-\udce9.png"},
        {"model": ModelIdentity(None, None), "variant": "linux-cuda", "layer_call": 2},
    ],
    ids=lambda of: ", ".join(of),
)
def test_all_that_a_baseline_is_of_comes_back(baseline: Baseline, tmp_path: Path, of: dict[str, Any]) -> None:
    kept = replace(baseline, **of)
    write(tmp_path / "a.json", "a", kept, None)
    found = read(tmp_path / "a.json", "a")
    for field in fields(Baseline):
        np.testing.assert_equal(getattr(found, field.name), getattr(kept, field.name), field.name)


def test_file_can_be_read_in_a_diff(baseline: Baseline) -> None:
    lines = text_of(baseline).splitlines()
    keys = [line.split('"')[1] for line in lines if line.startswith('  "')]
    assert keys == sorted(keys)
    start = lines.index('  "map": [')
    assert lines[start + 2] == "    [0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0],"
    assert text_of(baseline).endswith("}\n")
    changed = replace(baseline, map=np.roll(baseline.map, 1, axis=0))
    differing = [one for one, other in zip(lines, text_of(changed).splitlines(), strict=True) if one != other]
    assert len(differing) == 3  # two rows, and the digest


def test_digits_are_few_and_their_rounding_is_small() -> None:
    cam = np.random.default_rng(0).random((40, 40)) ** 8
    cam /= cam.max()
    assert np.abs(rounded(cam) - cam).max() < 1e-4
    assert rounded([[1 / 3, 2e-5 / 3, 1e-9]]).tolist() == [[0.3333, 7e-06, 0.0]]
    np.testing.assert_array_equal(rounded(rounded(cam)), rounded(cam))


def test_line_ends_of_git_on_windows_change_nothing(baseline: Baseline, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text_of(baseline).replace("\n", "\r\n").encode())
    assert read(path, "a") is not None


def test_missing_file_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "a.json", "a") is None


def _edited(key: str, value: object) -> Callable[[str], str]:
    def edit(text: str) -> str:
        document = json.loads(text)
        if value is None:
            del document[key]
        else:
            document[key] = value
        return json.dumps(document)

    return edit


def _in_the_map(new: str) -> Callable[[str], str]:
    """Put something in place of the first numbers that are not zero, which are in the second row."""

    def edit(text: str) -> str:
        head, rows = text.split('"map": ')
        return f'{head}"map": {rows.replace("1.0, 1.0", new, 1)}'

    return edit


def _sub(pattern: str, new: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, new, text, count=1)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        pytest.param(lambda text: text[: len(text) // 2], "truncated, or no JSON", id="truncated"),
        pytest.param(lambda text: "", "truncated, or no JSON", id="empty"),
        pytest.param(lambda text: "[" * 10**5, "truncated, or no JSON", id="nested"),
        pytest.param(lambda text: f"<<<<<<< ours\n{text}", "marks of a merge conflict", id="conflict"),
        pytest.param(lambda text: "{}", "no format number", id="something else"),
        pytest.param(lambda text: "[1]", "no format number", id="a list"),
        pytest.param(_edited("format", 0), "there is no format 0", id="format 0"),
        pytest.param(_in_the_map("0.5, 1.0"), "edited by hand", id="a number by hand"),
        pytest.param(_sub("gradcam", "hirescam"), "edited by hand", id="the method by hand"),
        pytest.param(_in_the_map("NaN, 1.0"), "it holds NaN, and a map has finite numbers", id="NaN"),
        pytest.param(_in_the_map("-Infinity, 1.0"), "it holds -Infinity", id="infinity"),
        pytest.param(_in_the_map("1e999, 1.0"), "row 2 of the map holds inf", id="overflow"),
        pytest.param(_in_the_map("-0.5, 1.0"), "row 2 of the map holds -0.5", id="negative"),
        pytest.param(_in_the_map('"1", 1.0'), "row 2 of the map holds '1'", id="a text"),
        pytest.param(_in_the_map("1.0"), "the grid is 8 x 8, and the map has 8 rows of 7 or 8", id="a short row"),
        pytest.param(_edited("map", None), "no 'map'", id="no map"),
        pytest.param(_edited("map", 3), "the map is no list of rows", id="a number for a map"),
        pytest.param(_edited("map", [[0.5] * 8] * 8), "the greatest value of the map is 0.5", id="no maximum"),
        pytest.param(_edited("grid", [9, 8]), "the grid is 9 x 8", id="another grid"),
        pytest.param(_edited("thumbnail", ["zz"]), "not as it was written", id="thumbnail"),
        pytest.param(_edited("geometry", {}), "no 'image_to_input'", id="no geometry"),
        pytest.param(_edited("target", 3), "not as it was written", id="target"),
    ],
)
def test_damaged_file_is_an_error_that_says_where(edit, complaint, baseline: Baseline, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(edit(text_of(baseline)), encoding="utf-8")

    with pytest.raises(BaselineError, match=r"baseline maps/a.json is damaged: .*--cam-update=changed") as raised:
        read(path, "maps/a.json")

    assert complaint in str(raised.value)
    assert not isinstance(raised.value, NewerBaselineError)


def test_file_that_is_no_utf_8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(BaselineError, match="damaged: truncated, or no JSON"):
        read(tmp_path / "a.json", "a")


def test_file_of_a_later_version_says_to_upgrade(baseline: Baseline, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(_edited("format", 2)(text_of(baseline)))
    with pytest.raises(NewerBaselineError, match="has format 2, and this version of pytest-cam knows formats up to 1"):
        read(tmp_path / "a.json", "a")


def test_place_that_cannot_be_used(baseline: Baseline, tmp_path: Path) -> None:
    (tmp_path / "occupied").touch()
    (tmp_path / "a.json").mkdir()
    with pytest.raises(BaselineError, match="lies below a file; accepted: a directory"):
        read(tmp_path / "occupied" / "a.json", "a")
    with pytest.raises(BaselineError, match="would lie below a file; accepted: a directory"):
        write(tmp_path / "occupied" / "a.json", "a", baseline, None)
    with pytest.raises(BaselineError, match=r"cannot be read \(Is a directory\)"):
        read(tmp_path / "a.json", "a")
    with pytest.raises(BaselineError, match=r"cannot be written \(Is a directory\)"):
        write(tmp_path / "a.json", "a", baseline, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "occupied"]


def test_directory_that_cannot_be_written_to(baseline: Baseline, tmp_path: Path) -> None:
    read_only = Path("/proc/self/attention_baselines")
    if os.geteuid() != 0:
        read_only = tmp_path / "read-only" / "deep"
        read_only.parent.mkdir(mode=0o500)
    elif not Path("/proc/self").exists():
        pytest.skip("needs a file system in which not even root can make a directory")
    with pytest.raises(BaselineError, match=r"baseline maps/a.json cannot be written \(.*\); accepted: a directory in"):
        write(read_only / "a.json", "maps/a.json", baseline, None)


def _write_often(path: Path, baseline: Baseline, row: int) -> None:
    changed = replace(baseline, map=np.roll(baseline.map, row, axis=0))
    for _ in range(50):
        write(path, "a", changed, None)
        assert read(path, "a") is not None


def test_two_processes_that_write_one_file_leave_a_whole_one(baseline: Baseline, tmp_path: Path) -> None:
    path = tmp_path / "maps" / "a.json"
    context = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    writers = [context.Process(target=_write_often, args=(path, baseline, row)) for row in (0, 3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [each.name for each in path.parent.iterdir()] == ["a.json"]
    found = read(path, "a")
    assert found is not None
    assert found.map.tolist() in [np.roll(baseline.map, row, axis=0).tolist() for row in (0, 3)]
