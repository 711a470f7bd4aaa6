"""Masks from arrays, files and COCO's run lengths."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pytest_cam import Box, Mask
from pytest_cam.errors import RegionError
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import require_visible

SQUARE = Geometry.identity((4, 4))
# As pycocotools 2.0 writes it.
RLE = {"size": [5, 7], "counts": ";32NO012004"}
ENCODED = np.zeros((5, 7), dtype=bool)
ENCODED[1:4, 2:6] = True
ENCODED[2, 3] = False
SPECKLED = np.array(
    [[0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [1, 0, 0, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], dtype=bool
)


def rectangle(size: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    array = np.zeros((size[1], size[0]), dtype=bool)
    array[box[1] : box[3], box[0] : box[2]] = True
    return array


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry.identity((8, 6)),
        Geometry((8, 6), (5, 7), ((5 / 8, 0, 0), (0, 7 / 6, 0))),
        Geometry((8, 6), (8, 6), ((-1, 0, 8), (0, 1, 0))),
        Geometry((8, 6), (6, 8), ((0, -1, 6), (1, 0, 0))),
        Geometry((8, 6), (4, 4), ((0.8, 0, -1.3), (0, 0.8, -0.4))),
        Geometry((8, 6), (12, 12), ((1, 0, 2), (0, 1, 3))),
    ],
    ids=["same", "squashed", "mirrored", "turned", "cropped", "padded"],
)
def test_mask_of_a_box_is_the_box_exactly(geometry: Geometry) -> None:
    box = (2, 1, 7, 5)
    mask = Mask(rectangle((8, 6), box))
    np.testing.assert_allclose(mask.coverage(geometry), Box(*box).coverage(geometry), atol=1e-8)
    assert mask.visible_share(geometry) == pytest.approx(Box(*box).visible_share(geometry))


def test_mask_at_the_size_of_the_input_is_its_own_coverage() -> None:
    np.testing.assert_array_equal(Mask(SPECKLED).coverage(Geometry.identity((5, 6))), SPECKLED)


@pytest.mark.parametrize(
    "form",
    [np.array, torch.tensor, lambda a: a.astype(np.uint8), lambda a: a.astype(np.uint8) * 255, Image.fromarray],
)
def test_array_in_any_form(form) -> None:
    assert Mask(form(SPECKLED)) == Mask(SPECKLED)
    assert len({Mask(form(SPECKLED)), Mask(SPECKLED)}) == 1
    assert Mask(SPECKLED) != Mask(~SPECKLED)
    assert Mask(SPECKLED) != Box(0, 0, 1, 1)


def test_mask_keeps_its_own_pixels() -> None:
    array = SPECKLED.copy()
    mask = Mask(array)
    array[:] = True
    np.testing.assert_array_equal(mask.array, SPECKLED)
    with pytest.raises(ValueError, match="read-only"):
        mask.array[0, 0] = True


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_png(tmp_path: Path, mode: str) -> None:
    Image.fromarray(SPECKLED.astype(np.uint8) * 255).convert(mode).save(tmp_path / "mask.png")
    assert Mask(tmp_path / "mask.png") == Mask(str(tmp_path / "mask.png")) == Mask(SPECKLED)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_pixels_of_a_mask_are_not_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    # Of a photo of 12 megapixels it takes longer than decoding the file.
    Image.fromarray(SPECKLED.astype(np.uint8) * 255).convert(mode).save(tmp_path / "mask.png")
    monkeypatch.setattr(np, "unique", lambda values: pytest.fail(f"{np.size(values)} pixels are sorted"))
    assert Mask(tmp_path / "mask.png") == Mask(SPECKLED)


@pytest.mark.parametrize("white_first", [False, True])
@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_black_and_white_of_a_palette_are_what_is_shown(tmp_path: Path, suffix: str, *, white_first: bool) -> None:
    image = Image.fromarray(SPECKLED ^ white_first).convert("L").point(bool).convert("L")
    image.putpalette([255, 255, 255, 0, 0, 0] if white_first else [0, 0, 0, 255, 255, 255])
    image.save(tmp_path / f"mask.{suffix}")
    with Image.open(tmp_path / f"mask.{suffix}") as shown:
        assert np.array_equal(np.array(shown.convert("L")) == 255, SPECKLED)
    assert np.array_equal(Mask(tmp_path / f"mask.{suffix}").array, SPECKLED)
    assert np.array_equal(Mask(image).array, SPECKLED)


def test_other_colours_of_a_palette_are_labels_of_which_black_is_none() -> None:
    image = Image.fromarray(SPECKLED.astype(np.uint8))
    image.putpalette([0, 0, 0, 128, 0, 0])  # as Pascal VOC's are
    assert np.array_equal(Mask(image).array, SPECKLED)
    image.putpalette([128, 0, 0, 0, 0, 0])
    with pytest.raises(RegionError, match=r"value 0 is not black, and another one is.*Mask\(array != 0\) by their"):
        Mask(image)


@pytest.mark.parametrize(
    ("rle", "expected"),
    [
        (RLE, ENCODED),
        (RLE | {"counts": RLE["counts"].encode()}, ENCODED),
        ({"size": (5, 7), "counts": [11, 3, 2, 1, 1, 1, 2, 3, 2, 3, 6]}, ENCODED),
        ({"size": np.array([5, 7]), "counts": np.array([11, 3, 2, 1, 1, 1, 2, 3, 2, 3, 6])}, ENCODED),
        ({"size": [6, 5], "counts": b"341M000040L14OM"}, SPECKLED),
    ],
)
def test_run_lengths_as_coco_writes_them(rle, expected) -> None:
    np.testing.assert_array_equal(Mask(rle).array, expected)


def test_large_counts_take_several_characters() -> None:
    yy, xx = np.mgrid[:300, :400]
    disc = ((xx - 200) / 150) ** 2 + ((yy - 140) / 90) ** 2 < 1
    start = "VR?e0c88I6J6J6K4L4M2M4L4M2M4M2N2M4M2N2N2N2N2N2N2N2N2N2N2N2N2"
    from pytest_cam.images.regions.rle import _decompressed

    counts = _decompressed(start.encode())
    assert counts == Mask(disc).to_json()["counts"][: len(counts)]


def test_numbers_of_an_artifact_make_the_mask_again() -> None:
    for array in (SPECKLED, ENCODED, ~ENCODED):
        written = Mask(array).to_json()
        assert written.pop("kind") == "mask"
        assert Mask(written) == Mask(array)


def test_mask_of_another_size_is_an_error_that_says_both() -> None:
    with pytest.raises(RegionError, match=r"mask is 7 x 5 pixels, and the image is 4 x 4.*shape \(4, 4\)$"):
        require_visible(Mask(ENCODED), SQUARE)
    with pytest.raises(RegionError, match=r"mask is 7 x 5 pixels.*5 x 7.*mask\.T"):
        require_visible(Mask(ENCODED), Geometry.identity((5, 7)))


def test_share_that_the_model_saw() -> None:
    right_half = Geometry((4, 4), (2, 4), ((1, 0, -2), (0, 1, 0)))
    assert require_visible(Mask(rectangle((4, 4), (1, 0, 4, 2))), right_half) == pytest.approx(2 / 3)
    with pytest.raises(RegionError, match=r"only 33% of mask of 6 pixels in \(0, 0, 3, 2\) lies inside the crop"):
        require_visible(Mask(rectangle((4, 4), (0, 0, 3, 2))), right_half)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((5, 7), bool), ["7 x 5", "empty", "not one pixel"]),
        (np.zeros((5, 7), np.uint8), ["empty"]),
        ({"size": [5, 7], "counts": [35]}, ["empty"]),
        (np.zeros((5, 7)), ["float64", "bool or uint8", "Mask(array > 0.5)"]),
        (torch.zeros(5, 7), ["float32", "Mask(array > 0.5)"]),
        (np.ones((5, 7), int), ["int64", "Mask(array != 0)"]),
        (np.ones((1, 5, 7), bool), ["shape (1, 5, 7)", "(H, W)", "mask[0]"]),
        (np.ones((5, 7, 3), np.uint8), ["shape (5, 7, 3)", "mask[..., 0]"]),
        (np.ones(5, bool), ["shape (5,)", "(H, W)"]),
        (np.ones((0, 5), bool), ["shape (0, 5)"]),
        (np.array([[0, 3, 17]], np.uint8), ["3 different values (0, 3, 17)", "array == 17", "array > 127"]),
        ([[True, False]], ["list", "array (H, W)", "PNG", "counts"]),
        (None, ["mask is None;"]),
        ("missing.png", ["not found: missing.png"]),
        ({"size": [5, 7]}, ["keys ['size']", '"counts"']),
        ({"counts": [35]}, ["keys ['counts']", '"size"']),
        ({"size": [5], "counts": [35]}, ["size is [5]", "[height, width]"]),
        ({"size": [5, 0], "counts": []}, ["size is [5, 0]"]),
        ({"size": [5, 7], "counts": [11, 3]}, ["does not fit its size", "add up to 14", "5 x 7", "35"]),
        ({"size": [7, 7], "counts": RLE["counts"]}, ["add up to 35", "49"]),
        ({"size": [5, 7], "counts": [40, -5]}, ["negative", "-5"]),
        ({"size": [5, 7], "counts": [1.5, 33.5]}, ["1.5", "whole numbers"]),
        ({"size": [5, 7], "counts": 35}, ["'35'", "whole numbers"]),
        ({"size": [5, 7], "counts": ";32 O"}, ["' '", "compressed"]),
        ({"size": [5, 7], "counts": "größe"}, ["compressed"]),
        ({"size": [5, 7], "counts": ";3R"}, ["middle of a number"]),
    ],
)
def test_malformed_mask_is_named(value: object, words: list[str]) -> None:
    with pytest.raises(RegionError) as raised:
        Mask(value)
    for word in words:
        assert word in str(raised.value)


def test_file_that_is_no_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(RegionError, match=r"unreadable: .*text\.png"):
        Mask(tmp_path / "text.png")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "colour.png")
    with pytest.raises(RegionError, match=r"mask file .*colour\.png has the shape \(4, 4, 3\)"):
        Mask(tmp_path / "colour.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    with pytest.raises(RegionError, match=r"unreadable: .*cut\.png"):
        Mask(tmp_path / "cut.png")
