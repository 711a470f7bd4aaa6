"""How maps are drawn, and what is said of a style that there is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_cam.errors import SettingError
from pytest_cam.images import drawing
from pytest_cam.images.style import COLORMAPS, Style

SEEN = np.ones((1, 2), np.float32)


@pytest.mark.parametrize("name", COLORMAPS)
def test_each_colour_map_is_one_of_opencvs(name: str) -> None:
    assert drawing.heatmap(np.array([[0, 1]], np.float32), SEEN, Style(colormap=name).colormap).shape == (1, 2, 3)


def test_colours_are_red_first() -> None:
    # Hot ends in white, and is red at a third.
    assert drawing.heatmap(np.array([[0, 0.33]], np.float32), SEEN, "hot")[0, 1].tolist()[1:] == [0, 0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"colormap": "virids"}, "there is no colour map 'virids'. Did you mean 'viridis'"),
        ({"normalization": "minmax"}, "there is no normalization 'minmax'. Did you mean 'min-max'"),
        ({"alpha": 1.5}, "alpha is 1.5; accepted: the heat map's part of an overlay, from 0 to 1"),
        ({"alpha": "half"}, "alpha is 'half'"),
        ({"alpha": float("nan")}, "alpha is nan"),
    ],
)
def test_style_that_there_is_not(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Style(**settings)
