"""What `img` may be, and what is said of everything else."""

import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, features
from torchvision import tv_tensors

from pytest_cam.errors import ImageError, RegionError
from pytest_cam.images.loading import load
from pytest_cam.images.regions import Mask

RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture
def two_pixels() -> Image.Image:
    """Red on the left, green on the right."""
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)
    return image


def test_path_pil_and_array_give_the_same_pixels(two_pixels: Image.Image, tmp_path: Path) -> None:
    two_pixels.save(tmp_path / "two.png")
    forms = [str(tmp_path / "two.png"), tmp_path / "two.png", two_pixels, np.array(two_pixels)]
    for form in forms:
        loaded = load(form)
        assert loaded.size == (2, 1)
        assert loaded.rgb().tolist() == [[[*RED], [*GREEN]]]


@pytest.mark.parametrize("form", ["path", "PIL image"])
def test_upright_image_is_copied_once(
    two_pixels: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    # Copying a photo of 12 megapixels takes as long as half of a small model's pass.
    two_pixels.save(tmp_path / "two.png")
    copies = []
    copy = Image.Image.copy
    monkeypatch.setattr(Image.Image, "copy", lambda image: copies.append(image.size) or copy(image))

    loaded = load(two_pixels if form == "PIL image" else tmp_path / "two.png")

    assert copies == [(2, 1)]
    assert loaded.pixels is not two_pixels


def test_file_is_decoded_once_for_all_that_look_at_it(
    two_pixels: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_pixels.save(tmp_path / "two.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "two.png").read_bytes())
    opened = []
    open_ = Image.open
    monkeypatch.setattr(Image, "open", lambda file: opened.append(file) or open_(file))

    kept = [load(tmp_path / "two.png"), load(str(tmp_path / "two.png")), load(tmp_path / "copy.png")]
    assert len(opened) == 1
    assert len({id(loaded.pixels) for loaded in kept}) == 1
    assert [Path(loaded.name).name for loaded in kept] == ["two.png", "two.png", "copy.png"]
    assert {loaded.size for loaded in kept} == {(2, 1)}

    del kept
    load(tmp_path / "two.png")
    assert len(opened) == 2  # nothing stays in memory that no attention holds


def test_file_that_was_written_anew_is_decoded_anew(two_pixels: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "photo.bmp"
    two_pixels.save(path)
    before, stat = load(path), path.stat()
    Image.new("RGB", (2, 1), GREEN).save(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert load(path).rgb().tolist() == [[[*GREEN], [*GREEN]]]
    assert before.rgb().tolist() == [[[*RED], [*GREEN]]]


@pytest.mark.parametrize(
    "draw",
    [
        lambda image: image.putpixel((0, 0), GREEN),
        lambda image: image.paste(GREEN, (0, 0, 1, 1)),
        lambda image: ImageDraw.Draw(image).rectangle((0, 0, 1, 1), fill=GREEN),
    ],
    ids=["putpixel", "paste", "draw"],
)
def test_what_is_drawn_on_one_does_not_show_on_the_next(two_pixels: Image.Image, tmp_path: Path, draw) -> None:
    two_pixels.save(tmp_path / "two.png")
    before = load(tmp_path / "two.png")
    draw(before.pixels)
    assert before.rgb()[0, 0].tolist() == [*GREEN]
    assert load(tmp_path / "two.png").rgb().tolist() == [[[*RED], [*GREEN]]]


@pytest.mark.parametrize("as_path", [True, False])
def test_exif_orientation_turns_the_image_upright(two_pixels: Image.Image, tmp_path: Path, as_path: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: a viewer shows it a quarter turn clockwise
    two_pixels.save(tmp_path / "turned.png", exif=exif)
    loaded = load(tmp_path / "turned.png" if as_path else Image.open(tmp_path / "turned.png"))
    assert loaded.size == (1, 2)
    assert loaded.rgb().tolist() == [[[*RED]], [[*GREEN]]]


def _palette(colour: tuple[int, int, int], transparency: object = None) -> Image.Image:
    image = Image.new("P", (1, 1), 0)
    image.putpalette(colour)
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (1, 1), 7), [7, 7, 7]),
        (Image.new("LA", (1, 1), (7, 0)), [7, 7, 7]),
        (Image.new("RGBA", (1, 1), (1, 2, 3, 0)), [1, 2, 3]),
        (Image.new("1", (1, 1), 1), [255, 255, 255]),
        (Image.new("P", (1, 1), 0), [0, 0, 0]),
        (_palette((9, 8, 7)), [9, 8, 7]),
        (_palette((9, 8, 7), transparency=0), [9, 8, 7]),
        (_palette((9, 8, 7), transparency=b"\x40"), [9, 8, 7]),
        (Image.new("CMYK", (1, 1), (0, 255, 255, 0)), [255, 0, 0]),
        (tv_tensors.Image(torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None]), [1, 2, 3]),
        (tv_tensors.Image(torch.tensor([1, 2, 3, 0], dtype=torch.uint8)[None, :, None, None]), [1, 2, 3]),
        (tv_tensors.Image(torch.tensor([[[9]]], dtype=torch.uint8)), [9, 9, 9]),
        (np.full((1, 1), 9, np.uint8), [9, 9, 9]),
        (np.full((1, 1, 1), 9, np.uint8), [9, 9, 9]),
        (np.array([[[1, 2, 3, 0]]], np.uint8), [1, 2, 3]),
    ],
)
def test_grayscale_alpha_and_palettes_become_rgb(image: object, expected: list[int]) -> None:
    assert load(image).rgb().tolist() == [[expected]]


def test_palette_with_transparency_gives_no_warning() -> None:
    image = Image.new("P", (1, 1), 0)
    image.info["transparency"] = b"\x00"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(image).size == (1, 1)


def test_jpeg_of_a_printing_press_becomes_the_colours_that_a_viewer_shows(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    shown = load(tmp_path / "red.jpg").rgb()
    assert np.abs(shown.astype(int) - RED).max() <= 3
    with Image.open(tmp_path / "red.jpg") as opened:
        assert opened.mode == "CMYK"
        assert shown.tolist() == np.array(opened.convert("RGB")).tolist()


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA"])
def test_files_with_transparency_are_read_as_their_colours(tmp_path: Path, mode: str) -> None:
    image = _palette(RED) if mode == "P" else Image.new(mode, (1, 1), (7, 0) if mode == "LA" else (*RED, 0))
    image.save(tmp_path / "photo.png", **({"transparency": 0} if mode == "P" else {}))
    assert load(tmp_path / "photo.png").rgb().tolist() == [[[7, 7, 7] if mode == "LA" else [*RED]]]


def test_deep_png_is_refused_and_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ImageError, match=r"deep\.png has more than 8 bits a channel.*uint8 array"):
        load(tmp_path / "deep.png")


def test_floating_tv_tensor_is_model_input_already() -> None:
    assert load(tv_tensors.Image(torch.rand(3, 4, 6))).is_input


@pytest.mark.parametrize("shape", [(3, 4, 6), (1, 3, 4, 6)])
def test_tensor_is_its_own_image(shape: tuple[int, ...]) -> None:
    loaded = load(torch.arange(72.0).reshape(shape))
    assert loaded.size == (6, 4)
    assert loaded.is_input
    assert loaded.rgb().shape == (4, 6, 3)
    assert (loaded.rgb().min(), loaded.rgb().max()) == (0, 255)


def test_constant_and_single_channel_tensors_can_be_drawn() -> None:
    assert load(torch.ones(1, 2, 2)).rgb().tolist() == [[[0, 0, 0]] * 2] * 2


def _truncated(folder: Path) -> Path:
    path = folder / "truncated.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    return path


def _odd_exif(folder: Path) -> Path:
    """A photo that lies on its side, and whose resolution is a byte, not a fraction."""
    path = folder / "odd.jpg"
    orientation = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    resolution = struct.pack("<HHII", 0x011A, 1, 1, 72)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + orientation + resolution + bytes(4)
    Image.new("RGB", (6, 4)).save(path, exif=exif)
    return path


def _text(folder: Path) -> Path:
    path = folder / "note.png"
    path.write_text("not an image")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "absent.png", ["not found", "absent.png"]),
        (lambda _: "photos/absent.png", [f"not found: photos/absent.png, looked for in {Path.cwd()}"]),
        (_text, ["unreadable", "note.png", "no format"]),
        (_truncated, ["truncated or damaged", "truncated.png"]),
        (_odd_exif, ["odd.jpg cannot be turned upright", "EXIF data are damaged", "Save it upright"]),
        (lambda folder: folder, ["unreadable"]),
        (lambda _: np.zeros((4, 4, 3), np.float32), ["float32 array", "uint8", ".astype('uint8')", "tensor"]),
        (lambda _: np.zeros((4, 4, 3), np.int64), ["img is an int64 array", "uint8"]),
        (lambda _: np.zeros((4, 4), np.uint16), ["uint16 array", "scale it to 0..255 and convert"]),
        (lambda _: np.zeros((3, 5, 5), np.uint8), ["(3, 5, 5)", "(H, W, 3)", "transpose(1, 2, 0)"]),
        (lambda _: np.zeros((0, 4, 3), np.uint8), ["(0, 4, 3)"]),
        (lambda _: torch.zeros(3, 4, 4, dtype=torch.uint8), ["torch.uint8", "permute(1, 2, 0)"]),
        (lambda _: torch.zeros(3, 4, 4, dtype=torch.uint8), ["tv_tensors.Image(img)"]),
        (lambda _: tv_tensors.Image(torch.zeros(3, 4, 4, dtype=torch.int16)), ["torch.int16"]),
        (lambda _: tv_tensors.Image(torch.zeros(2, 3, 4, 4, dtype=torch.uint8)), ["(2, 3, 4, 4)", "(1, C, H, W)"]),
        (lambda _: tv_tensors.Image(torch.zeros(5, 4, 4, dtype=torch.uint8)), ["(5, 4, 4)", "1, 3 or 4 channels"]),
        (lambda _: torch.zeros(2, 3, 4, 4), ["batch of 2", "attend_batch"]),
        (lambda _: torch.zeros(3, 8, 64, 64), ["batch of 3", "attend_batch", "a clip (C, T, H, W) is no image"]),
        (lambda _: torch.zeros(4, 4), ["(4, 4)", "(C, H, W)"]),
        (lambda _: torch.zeros(3, 0, 4), ["(3, 0, 4)"]),
        (lambda _: torch.zeros(3, 4, 4).to_sparse(), ["img is a torch.sparse_coo tensor", "img.to_dense()"]),
        (lambda _: torch.zeros(3, 4, 4, device="meta"), ["img is a meta tensor", "that holds values"]),
        (
            lambda _: torch.nested.nested_tensor([torch.zeros(4, 4)] * 3, layout=torch.jagged),
            ["img is a nested tensor", "dense"],
        ),
        (lambda _: Image.new("RGB", (0, 4)), ["no pixels", "0 x 4"]),
        (lambda _: "", ["empty path"]),
        (lambda _: "dog\0.png", ["unreadable: dog\0.png (embedded null"]),
        (lambda _: Image.new("I;16", (2, 2)), ["8 bits", "I;16"]),
        (lambda _: Image.new("F", (2, 2)), ["8 bits", "'F'"]),
        (lambda _: Image.new("I", (2, 2)), ["8 bits", "'I'"]),
        (lambda _: 7, ["int", "a path, a PIL image"]),
        (lambda _: None, ["img is None;"]),
        (lambda _: ["a.png", "b.png"], ["img is a list;", "Several images are for attend_batch(model, images)"]),
        (lambda _: ("a.png",), ["img is a tuple;", "Several images are for attend_batch(model, images)"]),
    ],
)
def test_what_cannot_be_used_is_named(make, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ImageError) as raised:
        load(make(tmp_path))
    for word in words:
        assert word in str(raised.value)


def test_image_that_pillow_has_opened_is_called_as_its_file(tmp_path: Path) -> None:
    Image.new("RGB", (4, 2)).save(tmp_path / "dog.png")
    with Image.open(tmp_path / "dog.png") as opened:
        assert load(opened).name == load(tmp_path / "dog.png").name == str(tmp_path / "dog.png")
    assert load(Image.new("RGB", (4, 2))).name == "PIL image"


def test_path_that_is_relative_to_a_directory_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ImageError, match=r"not found: dog.png, looked for in the working directory, which is gone"):
        load("dog.png")


@pytest.mark.parametrize("limit", [150, 50], ids=["pillow warns", "pillow raises"])
def test_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ImageError, match=r"decompression bomb.*bomb\.png.*MAX_IMAGE_PIXELS"):
        load(tmp_path / "bomb.png")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_damaged_avif_is_unreadable_as_any_other_file(tmp_path: Path) -> None:
    path = tmp_path / "damaged.avif"
    Image.new("RGB", (16, 16)).save(path)
    path.write_bytes(path.read_bytes().replace(b"av01", b"none"))
    with pytest.raises(ImageError, match=r"unreadable: .*damaged\.avif \(Failed to decode"):
        load(path)
    with pytest.raises(RegionError, match=r"unreadable: .*damaged\.avif \(Failed to decode"):
        Mask(path)
