"""A strip shows the image and each attention over it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import CamError, attend, attend_batch, strip


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 3),
    )  # fmt: skip


def test_image_and_each_layer_side_by_side() -> None:
    attentions = attend(network(), torch.rand(3, 32, 48), layer=["0", "2"], method="layercam")
    picture = strip(attentions)
    # Three tiles of 224 x 149, with gaps of 12 around each.
    assert picture.shape[1] == 3 * 224 + 4 * 12
    tiles = [picture[32 : 32 + 149, left : left + 224] for left in (12, 248, 484)]
    assert np.array_equal(strip(attentions, alpha=0.0)[32 : 32 + 149, 248 : 248 + 224], tiles[0])
    assert all(not np.array_equal(tile, tiles[0]) for tile in tiles[1:])
    assert not np.array_equal(tiles[1], tiles[2])


def test_what_cannot_be_one_strip_is_named() -> None:
    with pytest.raises(CamError, match="there are no attentions to draw"):
        strip([])
    small, large = (attend_batch(network(), torch.rand(1, 3, side, side))[0] for side in (16, 32))
    with pytest.raises(CamError, match=r"of images of \[\(16, 16\), \(32, 32\)\]"):
        strip([small, large])
