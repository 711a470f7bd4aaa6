"""Several attentions of one image: as a strip of pictures, and as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pytest_cam import Attention, CamError, attend, attend_batch, side_by_side, strip, table
from pytest_cam.errors import SettingError

METHODS = ["gradcam++", "gradcam", "hirescam", "layercam", "xgradcam"]
IMG = torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 3),
    )  # fmt: skip


def twelve() -> list[Attention]:
    model = network()
    return [attend(model, IMG, layer=layer, method=method) for method in METHODS for layer in ("0", "1", "2")][:12]


def tile(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """Return a tile of 224 x 149 out of rows of tiles with titles of one line."""
    top, left = 32 + row * (149 + 20 + 12), 12 + column * 236
    return picture[top : top + 149, left : left + 224]


def test_image_and_each_layer_side_by_side() -> None:
    attentions = attend(network(), IMG, layer=["0", "2"], method="layercam")
    picture = strip(attentions)
    # Three tiles of 224 x 149, with gaps of 12 around each.
    assert picture.shape[1] == 3 * 224 + 4 * 12
    tiles = [tile(picture, 0, column) for column in range(3)]
    assert np.array_equal(tile(strip(attentions, alpha=0.0), 0, 1), tiles[0])
    assert all(not np.array_equal(other, tiles[0]) for other in tiles[1:])
    assert not np.array_equal(tiles[1], tiles[2])


def test_many_go_to_rows_of_even_length_in_the_order_given() -> None:
    attentions = twelve()
    picture = strip(attentions)
    # With the image thirteen: rows of five, five and three.
    assert picture.shape[1] == 5 * 224 + 6 * 12
    pair = strip([attentions[0], attentions[11]])
    assert np.array_equal(tile(picture, 0, 1), tile(pair, 0, 1))
    assert np.array_equal(tile(picture, 2, 2), tile(pair, 0, 2))
    assert (tile(picture, 2, 3) == 255).all()
    # Six are two rows of three.
    assert strip(attentions[:5]).shape[1] == 3 * 224 + 4 * 12


def test_very_long_image_is_stretched_and_the_caption_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    captions: list[list[str]] = []
    monkeypatch.setattr(side_by_side, "panel", lambda tiles, headline, lines: captions.append(lines))
    for shape in ((8, 400), (32, 48)):
        strip([attend(network(), torch.rand(3, *shape), layer="0", method="gradcam")])
    # 400 x 8 is drawn as 448 x 48.
    assert [line for lines in captions for line in lines if line.startswith("drawn")] == [
        "drawn about 5.4 times as high as it is, so that it can be read"
    ]


def test_what_cannot_be_one_strip_is_named() -> None:
    with pytest.raises(CamError, match="there are no attentions to draw"):
        strip([])
    small, large = (attend_batch(network(), torch.rand(1, 3, side, side))[0] for side in (16, 32))
    with pytest.raises(CamError, match=r"of images of 16 x 16 and 32 x 32 pixels\. Accepted: attentions of one photo"):
        strip([small, large])
    one, other = attend_batch(network(), torch.stack([IMG, IMG.flip(-1)]))
    with pytest.raises(CamError, match=r"the attentions of a table must be of one image, and input tensor differs"):
        table([one, other], (0, 0, 8, 8))


def test_what_is_no_list_of_attentions_is_named() -> None:
    one = attend(network(), IMG, layer="0")
    for draw, what in ((strip, "strip"), (lambda given: table(given, (0, 0, 8, 8)), "table")):
        with pytest.raises(CamError, match=rf"^{what} got an Attention; accepted: a list .*, or \[attention\] for a"):
            draw(one)
        with pytest.raises(CamError, match=rf"^{what} got a list with an ndarray at index 1; accepted: a list of"):
            draw([one, one.map])


class Bright(nn.Module):
    """Class 1 grows with brightness, class 0 falls: the map of class 1 is the image."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Identity()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        bright = self.look(image).mean(dim=(1, 2, 3))
        return torch.stack([-bright, bright], dim=1)


def test_table_by_hand() -> None:
    # Three quarters of the light are in the box, one quarter of the image: (0.75 - 0.25) / (1 - 0.25) = 0.67.
    img = torch.zeros(1, 16, 16)
    img[0, 2, 2], img[0, 12, 12] = 3, 1
    names = ["dark", "bright|light"]
    known = [
        attend(Bright(), img, layer="look", method=method, target=target, class_names=names)
        for method, target in (("gradcam", 1), ("layercam", 1), ("gradcam", 0))
    ]
    assert table(known, (0, 0, 8, 8)) == (
        "| method   | layer | target        | skill | energy | peak   |\n"
        "| -------- | ----- | ------------- | ----: | -----: | ------ |\n"
        "| gradcam  | look  | bright\\|light |  0.67 |   0.75 | (2, 2) |\n"
        "| layercam | look  | bright\\|light |  0.67 |   0.75 | (2, 2) |\n"
        "| gradcam  | look  | dark          |  none |   none | none   |"
    )


def test_table_with_wide_letters_has_straight_columns() -> None:
    img = torch.zeros(1, 16, 16)
    img[0, 2, 2] = 1
    known = [
        attend(Bright(), img, layer="look", target=target, class_names=["dark", "\u660e\u308b\u3044"])
        for target in (1, 0)
    ]
    # Each of the three letters is two columns wide.
    assert [line.split(" | ")[2] for line in table(known, (0, 0, 8, 8)).splitlines()] == [
        "target",
        "------",
        "\u660e\u308b\u3044",
        "dark  ",
    ]


def test_table_says_where_skill_means_nothing() -> None:
    attention = attend(Bright(), torch.ones(1, 16, 16), layer="look", target=1)
    row = table([attention], (0, 0, 16, 15)).splitlines()[2]
    assert [cell.strip() for cell in row.split("|")[4:6]] == ["vacuous", "0.94"]


@pytest.mark.parametrize("alpha", [3, -0.5, float("nan"), "x"])
def test_alpha_outside_of_its_range_is_an_error(alpha: Any) -> None:
    attention = attend(network(), IMG, layer="2")
    with pytest.raises(SettingError, match=r"alpha is .*; accepted: the heat map's part of an overlay, from 0 to 1"):
        strip([attention], alpha=alpha)
    with pytest.raises(SettingError, match="alpha is"):
        attention.compare(attention).picture(alpha=alpha)
