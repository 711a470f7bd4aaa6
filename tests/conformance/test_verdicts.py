"""The documentation's table of which check catches which model, made anew."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
# One of five photos, beside what twenty differ from all or none.
FEW = 0.4

# What each check is there for: models that it must catch in at least four of five photos.
CAUGHT = {
    "attention in region (digit)": {"shortcut", "cast", "random weights"},
    "attention not in region (tag)": {"shortcut", "mostly", "random weights"},
    "prediction needs region (digit)": {"shortcut", "cast", "random weights"},
    "region suffices (digit)": {"random weights"},
    "attention agrees (with honest)": {"shortcut", "cast", "random weights"},
}


def documented() -> dict[str, dict[str, float]]:
    """Return the table as it stands in the documentation."""
    text = (ROOT / "docs/checks.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- verdicts: [^\n]*\n(.*?)<!-- end of verdicts -->", text, re.DOTALL)
    assert found is not None
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in found[1].strip().splitlines()]
    head, body = rows[0], rows[2:]
    return {
        row[0]: {name: float(cell.rstrip("%")) / 100 for name, cell in zip(head[1:], row[1:], strict=True)}
        for row in body
    }


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(ROOT / "example_project"))
    return importlib.import_module("verdicts")


def test_documented_verdicts_are_right() -> None:
    table = documented()
    for check, shares in table.items():
        assert shares["honest"] >= 0.95, check
        assert shares["honest-2"] >= 0.9, check
        for name in CAUGHT.get(check, ()):
            assert shares[name] <= 0.2, (check, name)


@pytest.mark.sweep
def test_table_is_what_the_models_show_today(verdicts: ModuleType) -> None:
    # A few photos say as much as the twenty of the documentation do where these agree.
    verdicts.PHOTOS = 5
    table, now = documented(), verdicts.table()
    assert table.keys() == now.keys()
    for check, shares in now.items():
        for name, share in table[check].items():
            if not 0.2 < share < 0.8:
                assert shares[name] == pytest.approx(share, abs=FEW), (check, name)


@pytest.mark.parametrize("mode", ["retrained", "same-weights"])
def test_retrained_models_look_where_the_honest_one_does_and_the_shortcut_does_not(
    verdicts: ModuleType, mode: str
) -> None:
    from network import load  # type: ignore[import-not-found]  # of the example project

    from pytest_cam import attend
    from pytest_cam.verdicts.likeness import likeness

    photos = verdicts.subjects()[0].photos[:8]

    def passes(name: str) -> list[bool]:
        net, honest = load(name), load("honest")
        found = []
        for photo in photos:
            maps = [attend(each, photo.image, target=photo.label, **verdicts.HOW).map for each in (honest, net)]
            found.append(all(figure.passed for figure in likeness(*maps, mode, (64.0, 64.0))))
        return found

    for name in ("honest-2", "honest-3", "honest-4"):
        assert all(passes(name)) == (mode == "retrained"), name
    assert not any(passes("shortcut"))
