"""What the README claims is what the project does."""

import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from torchvision.transforms import v2 as transforms

from pytest_cam import AttentionError, Box, Polygon, attend, options
from pytest_cam.engine.methods import METHODS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_settings_table_is_the_one_table() -> None:
    table = README.split("<!-- settings: made from pytest_cam/options.py -->\n")[1].split("\n<!-- end of settings -->")[
        0
    ]
    assert table == options.markdown_table()


def test_speed_is_what_the_benchmark_printed() -> None:
    shown = README.split("<!-- speed: from benchmarks/results.md -->\n")[1].split("\n<!-- end of speed -->")[0]
    printed = (ROOT / "benchmarks/results.md").read_text(encoding="utf-8")
    assert shown.count("|") > 20
    assert all(part in printed for part in shown.split("\n\n"))


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


def test_other_outputs_are_explained_as_shown() -> None:
    shown = README.split("<!-- other outputs: run by tests/unit/test_readme.py -->\n")[1]
    code = shown.split("```python\n")[1].split("```")[0]
    names = ["background", "cat", "dog"]
    img = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        detector = fasterrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=3, min_size=96, max_size=96, box_score_thresh=0.0
        ).eval()
        segmenter = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
        classifier, embedder, detects_dogs = (resnet18(num_classes=count) for count in (3, 8, 1))
    for model in (detector, segmenter, classifier):
        model.config = SimpleNamespace(id2label=dict(enumerate(names)))
    with torch.no_grad():
        (found,) = detector(img[None])
    given = {
        "img": img,
        "box": found["boxes"][found["labels"] == 2][0],
        "mask": torch.ones(96, 96),
        "reference": torch.ones(8),
        "metadata": torch.tensor([[0.5, 1.0, 2.0]]),
        "detector": detector,
        "segmenter": segmenter,
        "embedder": embedder,
        "classifier": classifier,
        "detects_dogs": detects_dogs,
        "two_headed": TwoHeaded(classifier),
    }
    exec(code, given)
    assert code.count("\nattend(") == 8


def test_comparing_runs_as_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "example_project")
    import network

    shown = README.split("<!-- comparing: run by tests/unit/test_readme.py -->\n")[1]
    code = shown.split("```python\n")[1].split("```")[0]
    given = {
        "model": network.load("honest"),
        "img": ROOT / "example_project/photos/001_digit8.png",
        "box": (12, 1, 36, 25),
        "preprocess": network.preprocess,
    }
    sys.modules.pop("network")
    exec(code, given)
    assert given["comparison"].differences == ("method: gradcam++ against gradcam",)


def test_methods_run_as_shown() -> None:
    shown = README.split("<!-- methods: run by tests/unit/test_readme.py -->\n")[1]
    code = shown.split("```python\n")[1].split("```")[0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = resnet18().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is on its way out
        shipped = torch.jit.trace(model, torch.zeros(1, 3, 64, 64))
    given = {
        "model": model,
        "shipped": shipped,
        "img": ROOT / "example_project/photos/001_digit8.png",
        "preprocess": transforms.Compose([transforms.ToImage(), transforms.ToDtype(torch.float32, scale=True)]),
    }
    with torch.no_grad():
        exec(code, given)
    assert len(given["attentions"]) == 8


def test_every_method_is_in_the_table() -> None:
    table = README.split("## Which method")[1].split("The layer is by default")[0]
    firsts = "".join(line.split("|")[1] for line in table.splitlines() if "|" in line)
    assert set(re.findall(r"`([a-z+-]+)`", firsts)) == set(METHODS)


class TwoHeaded(nn.Module):
    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, image: torch.Tensor, metadata: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.classifier(image)
        return {"breed": logits * metadata, "age": logits}


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


def test_what_the_readme_links_to_and_the_tests_read_is_in_the_source_distribution() -> None:
    include = re.search(r"\[tool\.hatch\.build\.targets\.sdist\]\ninclude = \[(.*)\]", PYPROJECT)
    assert include is not None
    included = set(re.findall(r'"/(.*?)"', include[1]))
    linked = re.findall(r"\]\((?!http|#)([\w.]+)/", README)
    read = [
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r'(?:ROOT|parents\[2\]) / "(\w+)', path.read_text(encoding="utf-8"))
        if (ROOT / name).is_dir()
    ]
    assert {"docs", "benchmarks", "example_project"} <= {*linked, *read} <= included
