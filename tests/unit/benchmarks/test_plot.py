from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import plot
from benchmarks.figures import Figure, UnavailableError
from benchmarks.one_map import LAST

ALONE = Figure(LAST, "resnet50", 1.04, 1.10, network="resnet50", batch=1, over_pass={"pytest-cam": 1.04})
BESIDE = Figure(
    "peers", "resnet50", 0.9, 1.0, network="resnet50", batch=1, over_pass={"pytest-cam": 1.0, "captum": 1.2}
)
ON_GPU = Figure(LAST, "resnet50", 1.3, device="cuda", network="resnet50", batch=1, over_pass={"pytest-cam": 1.3})


def test_runs_with_peers_are_drawn_rather_than_those_without() -> None:
    assert plot.drawn([ALONE, BESIDE, ON_GPU]) == [BESIDE]
    assert plot.drawn([ALONE, ON_GPU]) == [ALONE]


def test_picture_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot.draw([ALONE, BESIDE], tmp_path / "results.png", "a machine")
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_map_there_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        plot.draw([ON_GPU], tmp_path / "results.png", "a machine")
    assert not list(tmp_path.iterdir())
