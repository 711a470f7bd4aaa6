"""Two attentions of one image against each other, on networks whose map is known: it is the image, rolled."""

from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
from PIL import Image
from torch import nn

import pytest_cam
from pytest_cam import Attention, Box, CamError, attend, comparison


class Rolled(nn.Module):
    """Class 1 grows with the image's brightness: its map is the image, moved to the right."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.shift = shift
        self.look = nn.Identity()
        self.pool = nn.AvgPool2d(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        bright = self.pool(self.look(image.roll(self.shift, dims=-1))).mean(dim=(1, 2, 3))
        return torch.stack([-bright, bright], dim=1)


def spot(x: int, y: int, size: int = 24) -> torch.Tensor:
    image = torch.zeros(1, size, size)
    image[:, y, x] = 1
    return image


def looked(shift: int = 0, img: torch.Tensor | None = None, layer: str = "look") -> Attention:
    return attend(Rolled(shift), spot(4, 6) if img is None else img, layer=layer, method="gradcam", target=1)


def test_attention_moved_by_ten_pixels() -> None:
    found = looked().compare(looked(10))
    assert (found.cosine, found.max_difference, found.peak_distance) == (0, 1, 10)
    assert found.emd == pytest.approx(10 / (24 * 2**0.5), abs=1e-6)
    # Means are 1 / n of n = 576 cells: the correlation of two single spots is -1 / (n - 1).
    assert found.pearson == pytest.approx(-1 / 575)


def test_distances_are_those_in_the_photo_not_in_the_squashed_input() -> None:
    photo = Image.new("RGB", (48, 24))
    photo.paste((255, 255, 255), (8, 6, 10, 7))
    squash = v1.Compose([v1.Resize((24, 24)), v1.ToTensor()])
    one, other = (
        attend(Rolled(shift), photo, layer="look", method="gradcam", target=1, preprocess=squash) for shift in (0, 10)
    )
    found = one.compare(other)
    assert found.peak_distance == pytest.approx(20, abs=0.1)
    assert found.emd == pytest.approx(20 / (48**2 + 24**2) ** 0.5, abs=1e-3)


def test_attention_is_like_itself() -> None:
    attention = attend(Rolled(), torch.rand(1, 24, 24), layer="look", method="gradcam", target=1)
    found = attention.compare(attention)
    assert (found.cosine, found.pearson) == (pytest.approx(1), pytest.approx(1))
    assert (found.max_difference, found.emd, found.peak_distance) == (0, 0, 0)
    assert found.differences == ()


def test_text_has_the_numbers_and_what_differs() -> None:
    found = looked().compare(looked(10, layer="pool"))
    assert str(found) == (
        "look, 24 x 24 against pool, 12 x 12\n"
        "\n"
        f"  cosine         {found.cosine:.3f}\n"
        f"  Pearson        {found.pearson:.3f}\n"
        f"  EMD            {found.emd:.3f} of the diagonal\n"
        f"  max difference {found.max_difference:.3f}, each map divided by its maximum\n"
        "  peaks          (4, 6) and (15, 7), 11 px apart\n"
        "  differs        layer: look against pool\n"
        "  differs        grid: 24 x 24 against 12 x 12\n"
        "  the same       gradcam, class 1\n"
        "  image          input tensor"
    )
    assert repr(found).startswith("<Comparison look, 24 x 24 against pool, 12 x 12: cosine 0.")


def test_comparison_in_the_output_of_a_failing_assert_can_be_sent_whatever_its_names_hold() -> None:
    one, other = (
        attend(Rolled(), spot(4, 6), layer="look", target=1, class_names=["dark", name])
        for name in ("tea", "caf\udce9")
    )
    assert repr(one.compare(other)).startswith("<Comparison tea against caf\\udce9: cosine 1.")


def test_shared_peak_is_told() -> None:
    even = looked(img=torch.ones(1, 24, 24))
    assert "(0, 0) (shared by 576 cells)" in str(even.compare(even))


def test_two_models_that_nothing_else_tells_apart_are_numbered() -> None:
    assert str(looked().compare(looked(10))).startswith("number 1 against number 2\n")


def test_another_preprocess_of_the_same_photo_is_compared_where_both_models_saw_it() -> None:
    photo = Image.new("RGB", (48, 48))
    photo.paste((255, 255, 255), (20, 20, 28, 28))
    whole, middle = (
        attend(Rolled(), photo, layer="look", method="gradcam", target=1, preprocess=preprocess)
        for preprocess in (v1.ToTensor(), v1.Compose([v1.CenterCrop(32), v1.ToTensor()]))
    )
    found = whole.compare(middle)
    assert (found.cosine, found.pearson) == (pytest.approx(1, abs=0.01), pytest.approx(1, abs=0.01))
    assert "compared over  (8, 8, 40, 40), the part of the image that both models saw" in str(found)
    assert "the model saw: (0, 0, 48, 48) against (8, 8, 40, 40)" in found.differences
    assert "input: 48 x 48 pixels against 32 x 32 pixels" in found.differences


def test_other_image_is_an_error() -> None:
    with pytest.raises(CamError, match=r"of one image, and these are of images of 24 x 24 and 16 x 16 pixels"):
        looked().compare(looked(img=spot(4, 6, size=16)))
    with pytest.raises(CamError, match=r"differs from input tensor in 2 of 576 pixels"):
        looked().compare(looked(img=spot(5, 6)))


def test_same_tensor_in_half_precision_is_the_same_image() -> None:
    img = torch.rand(3, 24, 24)
    assert looked(img=img).compare(looked(img=img.bfloat16().float())).cosine > 0.999


def test_what_is_no_attention_and_what_is_empty_is_an_error() -> None:
    with pytest.raises(TypeError, match="other is an ndarray; accepted: an Attention"):
        looked().compare(looked().map)  # type: ignore[arg-type]  # that is the test
    nothing = attend(Rolled(), spot(4, 6), layer="look", method="gradcam", target=0)
    for pair in ((nothing, looked()), (looked(), nothing)):
        with pytest.raises(pytest_cam.EmptyMapError, match="no positive evidence for target 0"):
            pair[0].compare(pair[1])


def test_picture_has_both_and_their_difference() -> None:
    bright, dark = Box(4, 4, 8, 8), Box(14, 4, 18, 8)
    img = torch.zeros(1, 24, 24)
    img[:, 4:8, 4:8] = 1
    picture = looked(img=img).compare(looked(10, img)).picture()
    # Three tiles of 320 with gaps of 12, under titles of 20; the third is the difference.
    assert picture.shape[1] == 3 * 320 + 4 * 12
    difference = picture[32 : 32 + 320, 2 * 332 + 12 : 3 * 332].astype(int)
    for box, more, less in ((bright, 0, 2), (dark, 2, 0)):
        x, y = (int((low + high) / 2 * 320 / 24) for low, high in ((box.x1, box.x2), (box.y1, box.y2)))
        assert difference[y, x, more] > difference[y, x, less] + 100
    elsewhere = difference[250, 200]
    assert elsewhere.tolist() == [128, 128, 128]


def test_picture_says_what_it_shows_and_rings_the_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list = []
    monkeypatch.setattr(comparison, "panel", lambda *given: shown.extend(given))
    img = torch.zeros(1, 24, 24)
    img[:, 4:8, 4:8] = 1
    looked(img=img).compare(looked(10, img)).picture()
    tiles, headline, lines = shown
    assert headline == "number 1 against number 2"
    assert [tile.title for tile in tiles] == ["number 1", "number 2", "difference"]
    assert lines == [
        "cosine 0.00, Pearson -0.03, EMD 0.29 of the diagonal, peaks (rings) 10 px apart",
        "heat maps: each from zero to its own maximum",
        "difference of the maps, each scaled to sum 1: red where the first has more, blue where the second has; "
        "full colour is 100% of the higher peak",
        "the same in both: gradcam, look, class 1, 24 x 24",
        "image: input tensor",
    ]
    # The peaks are the centres of pixels 4 and 14 of 24, which are drawn as 320.
    for tile, x in zip(tiles, (4.5, 14.5), strict=False):
        red, green, blue = np.moveaxis(tile.picture.astype(int), 2, 0)
        rows, columns = ((red > 200) & (green < 80) & (blue > 200)).nonzero()
        assert (columns.mean(), rows.mean()) == pytest.approx((x * 320 / 24, 4.5 * 320 / 24), abs=1)


def test_picture_of_a_very_long_image_is_stretched_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    captions: list[list[str]] = []
    monkeypatch.setattr(comparison, "panel", lambda tiles, headline, lines: captions.append(lines))
    image = torch.zeros(1, 8, 800)
    image[:, 2:4, 100:200] = 1
    looked(img=image).compare(looked(10, image)).picture()
    # 800 x 8 is drawn as 640 x 48.
    assert "drawn about 7.5 times as high as it is, so that it can be read" in captions[0]


def test_picture_of_equal_maps_shows_no_difference() -> None:
    img = torch.rand(3, 24, 24)
    picture = looked(img=img).compare(looked(img=img)).picture()
    difference = picture[32 : 32 + 320, 2 * 332 + 12 : 3 * 332]
    assert np.ptp(difference, axis=2).max() == 0


def test_picture_of_a_rounding_difference_stays_pale() -> None:
    attention = looked(img=torch.rand(3, 24, 24))
    rounded = replace(attention, map=attention.map.astype(np.float16).astype(np.float32))
    difference = attention.compare(rounded).picture()[32 : 32 + 320, 2 * 332 + 12 : 3 * 332]
    assert np.ptp(difference.astype(int), axis=2).max() < 10


def test_numbers_and_text_need_opencv_for_the_earth_movers_distance_only(monkeypatch: pytest.MonkeyPatch) -> None:
    found = looked().compare(looked(10))
    imported = builtins.__import__

    def without_cv2(name: str, *args: object, **kwargs: object) -> object:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_cv2)
    assert "EMD            unknown: it needs OpenCV" in str(found)
    assert "cosine         0.000" in str(found)
    with pytest.raises(pytest_cam.DependencyError, match=r"libGL\.so\.1"):
        _ = found.emd
