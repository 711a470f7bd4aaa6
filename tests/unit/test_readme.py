"""What the README claims is what the project does."""

import re
import sys
from pathlib import Path

import pytest

from pytest_cam import AttentionError, Box, Polygon, attend, options

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_settings_table_is_the_one_table() -> None:
    table = README.split("<!-- settings: made from pytest_cam/options.py -->\n")[1].split("\n<!-- end of settings -->")[
        0
    ]
    assert table == options.markdown_table()


def test_failure_text_is_what_the_shortcut_model_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / "example_project")
    import network

    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    attention = attend(
        network.load("shortcut"),
        Path("example_project/photos/001_digit8.png"),
        layer="features",
        target=8,
        preprocess=network.preprocess,
        class_names=names,
    )
    sys.modules.pop("network")
    with pytest.raises(AttentionError) as raised:
        attention.assert_in_region((12, 1, 36, 25))
    shown = README.split("```text\n")[1].split("\n```")[0]
    assert shown == f"pytest_cam.AttentionError: {raised.value}"


def test_section_on_regions_names_what_exists() -> None:
    section = README.split("## Regions\n")[1].split("\n## ")[0]
    for name in re.findall(r"Box\.(\w+)\(", section):
        assert callable(getattr(Box, name))
    polygon = eval(re.search(r"Polygon\(\[.*?\]\)", section)[0], {"Polygon": Polygon})
    assert (polygon | Box(1, 2, 3, 4)).kind == "region"


def test_pictures_of_the_readme_exist() -> None:
    for name in ("shortcut", "honest"):
        assert f"docs/{name}.png" in README
        assert (ROOT / "docs" / f"{name}.png").is_file()
