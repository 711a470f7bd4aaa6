"""`--cam-colormap`, `--cam-alpha` and `--cam-normalization` change pictures, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FAILS = """
    import torch
    from torch import nn

    def test_it(cam):
        image = torch.zeros(1, 8, 8)
        image[:, :4, :4] = 1.0
        image[:, 4:] = 0.5
        model = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        cam.assert_attention_in_region(model, image, (5, 0, 8, 3), "0", "gradcam", target=1)
"""


def drawn(project, directory: str, *args: str) -> Path:
    project.write(test_fails=FAILS)
    project.run(f"--cam-artifacts={directory}", *args).assert_outcomes(failed=1)
    (folder,) = (project.path / directory).iterdir()
    return folder


def pixels(folder: Path, name: str) -> np.ndarray:
    return np.array(Image.open(folder / name)).astype(int)


def test_pictures_follow_the_settings(project) -> None:
    plain = drawn(project, "plain")
    styled = drawn(project, "styled", "--cam-colormap=hot", "--cam-alpha=0", "--cam-normalization=min-max")
    assert (pixels(styled, "overlay.png") == pixels(styled, "original.png")).all()
    assert not (pixels(plain, "overlay.png") == pixels(plain, "original.png")).all()
    assert pixels(plain, "heatmap.png")[0, 0].tolist() == [128, 0, 0]  # the end of jet
    assert pixels(styled, "heatmap.png")[0, 0].tolist() == [255, 255, 255]  # the end of hot
    one, other = (json.loads((folder / "attention.json").read_text()) for folder in (plain, styled))
    assert one["measurements"] == other["measurements"]
    assert one["map"] == other["map"]


def test_settings_of_the_ini_file(project) -> None:
    project.pytester.makeini("[pytest]\ncam_colormap = hot")
    assert pixels(drawn(project, "ini"), "heatmap.png")[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--cam-colormap=blue", "--cam-colormap, or cam_colormap of the ini file: there is no colour map 'blue'"),
        (
            "--cam-alpha=2",
            "--cam-alpha, or cam_alpha of the ini file: alpha is '2'; accepted: the heat map's part of an",
        ),
        ("--cam-normalization=log", "there is no normalization 'log'"),
    ],
)
def test_style_that_there_is_not_is_a_usage_error(pytester: pytest.Pytester, flag: str, words: str) -> None:
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest(flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in result.stderr.str()
