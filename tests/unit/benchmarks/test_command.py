"""`python -m benchmarks` itself, and what it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.networks import NETWORKS, Network, draw
from benchmarks.ours import mapped

ROOT = Path(__file__).resolve().parents[3]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks", *args], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--only", "one-map,speed"), "there is no speed here; accepted: one-map, peers"),
        (("--networks", "resnet19"), "there are no networks resnet19 here; accepted: resnet18, resnet50"),
        (("--rounds", "0"), "--rounds is 0; accepted: more than 0"),
        (("--devices", "cpu,tpu"), "there is no tpu here; accepted: cpu"),
    ],
)
def test_what_it_cannot_measure_is_named(args: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(args)
    assert said in capsys.readouterr().err


@pytest.mark.sweep
def test_quick_run_measures_every_kind(tmp_path: Path) -> None:
    done = run("--quick", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert report == done.stdout.removesuffix("\n")
    assert "failed" not in report, report
    assert report.count("\n## ") == 11
    assert "resnet18" in report
    assert "no evidence" in report


@pytest.mark.sweep
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_every_layer_has_a_map(network: Network) -> None:
    model, given = network.model(), draw(1)()
    for place in ("early", "middle", "last"):
        # Random weights may show no positive evidence by other methods.
        cam = mapped(model, network.layer(place), "layercam")(given).map
        assert np.isfinite(cam).all()
        assert cam.max() > 0
        assert cam.size >= 49
