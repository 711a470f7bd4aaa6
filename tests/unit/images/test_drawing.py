"""Pictures: the map lies where it belongs, and what is drawn can be seen."""

import builtins
import unicodedata

import numpy as np
import pytest

from pytest_cam.errors import DependencyError
from pytest_cam.images import drawing
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.panel import Tile, enlarged, panel, stretched, tile_of

SAME = Geometry.identity((4, 4))
SEEN = np.ones((4, 4), np.float32)


def test_map_lies_on_the_pixels_that_it_is_of() -> None:
    cam = np.zeros((4, 4))
    cam[1, 2] = 1
    assert drawing.on_image(cam, SAME, (4, 4)) == pytest.approx(cam)


def test_no_cell_of_a_map_that_is_finer_than_the_input_is_passed_over() -> None:
    cam = np.zeros((16, 16))
    cam[5, 8] = 16  # one of the sixteen cells over the pixel (2, 1)
    drawn = drawing.on_image(cam, SAME, (4, 4))
    assert drawn[1, 2] == pytest.approx(1)
    assert drawn.sum() == pytest.approx(1)


def test_map_of_a_crop_lies_on_the_crop_and_is_zero_outside() -> None:
    right_half = Geometry((8, 4), (4, 4), ((1, 0, -4), (0, 1, 0)))
    drawn = drawing.on_image(np.ones((2, 2)), right_half, (8, 4))
    assert drawn[:, :4].max() == 0
    assert drawn[:, 4:] == pytest.approx(np.ones((4, 4)))


def test_map_lies_on_its_pixels_whatever_the_shapes_of_image_input_and_picture() -> None:
    # Of 16 x 8 pixels of the image the model sees 12 x 8 from the fifth column on, as 6 x 8; the picture has 32 x 24.
    geometry = Geometry((16, 8), (6, 8), ((0.5, 0, -2), (0, 1, 0)))
    cam = np.zeros((4, 3))
    cam[1, 2] = 1  # columns 4 to 6 and rows 2 to 4 of the input: 12 to 16 and 2 to 4 of the image
    drawn = drawing.on_image(cam, geometry, (32, 24))
    rows, columns = (np.flatnonzero((drawn > 0.5).any(axis=axis)) for axis in (1, 0))
    assert (columns[0], columns[-1]) == pytest.approx((24, 31), abs=1)
    assert (rows[0], rows[-1]) == pytest.approx((6, 11), abs=1)


def test_even_map_is_even_up_to_the_edges_of_the_picture() -> None:
    assert drawing.on_image(np.ones((2, 2)), SAME, (9, 9)) == pytest.approx(np.ones((9, 9)))


def test_map_is_drawn_without_steps() -> None:
    drawn = drawing.on_image(np.array([[0.0, 1.0]]), Geometry.identity((8, 8)), (8, 8))[4]
    # From the middle of the first cell, at 2, to that of the second, at 6.
    assert drawn == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


def test_map_of_a_mirrored_input_is_mirrored_back() -> None:
    mirrored = Geometry((4, 4), (4, 4), ((-1, 0, 4), (0, 1, 0)))
    cam = np.arange(16.0).reshape(4, 4)
    assert drawing.on_image(cam, mirrored, (4, 4)) == pytest.approx(cam[:, ::-1])


def test_what_is_too_narrow_to_be_dark_in_a_picture_is_not_explained_there() -> None:
    # A fit is right to half a pixel of the input, which is several of a large photo.
    fitted = Geometry((4000, 3000), (224, 224), ((0.056, 0, -0.25), (0, 224 / 3000, 0)))
    assert drawing.unseen([drawing.seen_mask(fitted, (320, 240))]) == []
    assert drawing.unseen([drawing.seen_mask(fitted, (4000, 3000))]) == ["dark: what the model did not see"]


def test_input_lies_in_the_image_where_the_model_saw_it() -> None:
    mirrored_right_half = Geometry((8, 4), (4, 4), ((-1, 0, 8), (0, 1, 0)))
    shown = np.repeat(np.arange(16, dtype=np.uint8).reshape(4, 4, 1), 3, axis=2)
    picture = np.full((4, 8, 3), 99, np.uint8)
    laid = drawing.input_in_image(shown, mirrored_right_half, picture)
    assert (laid[:, :4] == 99).all()
    assert (laid[:, 4:] == shown[:, ::-1]).all()


def test_map_is_drawn_at_the_scale_of_a_reduced_picture() -> None:
    left = np.array([[1.0, 0.0], [1.0, 0.0]])
    half = drawing.on_image(left, SAME, (2, 2))
    assert half[:, 0] == pytest.approx([1, 1], abs=0.2)
    assert half[:, 1] == pytest.approx([0, 0], abs=0.2)


def test_normalisations_differ_by_the_minimum() -> None:
    assert drawing.normalised([[1.0, 2.0, 4.0]], "max").tolist() == [[0.25, 0.5, 1.0]]
    assert drawing.normalised([[1.0, 2.0, 3.0]], "min-max").tolist() == [[0.0, 0.5, 1.0]]
    assert drawing.normalised([[0.0, 0.0]]).tolist() == [[0.0, 0.0]]


def test_colours_run_from_blue_to_red_and_are_black_where_unseen() -> None:
    share = np.array([[0.0, 1.0, 1.0]], np.float32)
    blue, red, black = drawing.heatmap(share, np.array([[1, 1, 0]], np.float32))[0].tolist()
    assert blue[2] > 100 > blue[0]
    assert red[0] > 100 > red[2]
    assert black == [0, 0, 0]


def test_alpha_blends_between_picture_and_heat_map() -> None:
    picture = np.full((4, 4, 3), 100, np.uint8)
    share = np.ones((4, 4), np.float32)
    assert (drawing.overlay(picture, share, SEEN, alpha=0) == picture).all()
    assert (drawing.overlay(picture, share, SEEN, alpha=1) == drawing.heatmap(share, SEEN)).all()
    assert drawing.overlay(picture, share, np.zeros((4, 4), np.float32))[0, 0].tolist() == [35, 35, 35]


def test_rectangles_around_the_parts_of_a_mask_come_largest_first() -> None:
    mask = np.zeros((8, 8), bool)
    mask[0:1, 0:2] = mask[3:6, 4:8] = True
    assert drawing.contour_rectangles(mask) == [(4, 3, 8, 6), (0, 0, 2, 1)]


def test_outline_is_drawn_in_its_colour_and_leaves_the_inside() -> None:
    picture = np.full((64, 64, 3), 90, np.uint8)
    corners = np.array([(10, 10), (50, 10), (50, 40), (10, 40)], float)
    drawn = drawing.outline(picture.copy(), corners, (255, 255, 255))
    assert drawn[10, 30].tolist() == [255, 255, 255]
    assert drawn[25, 30].tolist() == [90, 90, 90]
    dashed = drawing.outline(picture.copy(), corners, (255, 255, 255), dashed=True)
    white = (dashed[10] == 255).all(axis=1)
    assert 0.3 < white[10:50].mean() < 0.9


def test_outline_of_the_whole_picture_is_visible_on_all_sides() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    drawn = drawing.outline(picture, np.array([(0, 0), (64, 0), (64, 64), (0, 64)], float), (255, 255, 255))
    for line in (drawn[:4, 32], drawn[-4:, 32], drawn[32, :4], drawn[32, -4:]):
        assert (line == 255).all(axis=1).sum() >= 2


def test_large_picture_is_reduced_and_a_small_one_is_not() -> None:
    assert drawing.reduced(np.zeros((1500, 3000, 3), np.uint8)).shape == (512, 1024, 3)
    small = np.zeros((10, 20, 3), np.uint8)
    assert drawing.reduced(small) is small


def test_missing_opencv_is_answered_with_both_cures(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_cv2(name: str, *args: object, **kwargs: object) -> object:
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_cv2)
    with pytest.raises(DependencyError, match=r"libGL\.so\.1.*libgl1.*opencv-python-headless"):
        drawing.opencv()


def test_panel_holds_its_tiles_side_by_side_above_the_caption() -> None:
    red = enlarged(np.full((2, 2, 3), (255, 0, 0), np.uint8), 200)
    blue = enlarged(np.full((2, 2, 3), (0, 0, 255), np.uint8), 200)
    sheet = panel([Tile("one", red), Tile("two", blue)], "headline", ["a line " * 40, "grün 狗"])
    assert sheet[100, 100].tolist() == [255, 0, 0]
    assert sheet[100, 320].tolist() == [0, 0, 255]
    caption = sheet[240:]
    assert (caption < 128).any()
    # The long line is wrapped, so the margin at the right stays white.
    assert (caption[:, -10:] == 255).all()


def test_headline_takes_four_lines_and_no_more() -> None:
    tiles = [Tile("", np.zeros((100, 480, 3), np.uint8))]
    one, four, cut = (panel(tiles, "word " * count, []) for count in (1, 40, 600))
    assert four.shape == cut.shape == (one.shape[0] + 3 * 24, *one.shape[1:])
    assert (cut[:, -12:] == 255).all()
    # The three dots that say that there is more take the place of the last word.
    assert np.array_equal(four[:-36], cut[:-36])
    assert not np.array_equal(four, cut)


def test_line_breaks_in_texts_are_blanks() -> None:
    tile = np.zeros((100, 100, 3), np.uint8)
    broken, blank = (panel([Tile(f"a{gap}b", tile)], f"c{gap}d", [f"e{gap}f"]) for gap in ("\n", " "))
    assert np.array_equal(broken, blank)


@pytest.mark.parametrize(("one", "other"), [("狗", "猫"), ("кот", "пёс"), ("が", "か"), ("ß", "ø"), ("🐕", "🐈")])
def test_letters_that_the_font_has_not_are_told_apart(one: str, other: str) -> None:
    tile = np.zeros((100, 100, 3), np.uint8)
    first, second = (panel([Tile("", tile)], "", [name]) for name in (one, other))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("composed", "plain"),
    [("Łódź", r"\u0141odz"), ("crème", "creme"), ("개", r"\uac1c"), ("l\u2019\u00e9t\u00e9 \u2013 1", "l'ete - 1")],
)
def test_accents_and_typesetting_are_left_out_however_a_file_system_writes_them(composed: str, plain: str) -> None:
    tile = np.zeros((100, 100, 3), np.uint8)
    texts = [unicodedata.normalize(form, composed) for form in ("NFC", "NFD")] + [plain]
    first, second, third = (panel([Tile("", tile)], "", [text]) for text in texts)
    assert np.array_equal(first, third)
    assert np.array_equal(second, third)


def test_titles_are_broken_to_the_width_of_their_tiles() -> None:
    tile = enlarged(np.full((4, 2, 3), (255, 0, 0), np.uint8), 100)
    long = "vision_model.encoder.layers.22.layer_norm1, 16 x 16"
    alone, pair = panel([Tile(long, tile)], "", []), panel([Tile(long, tile), Tile("", tile)], "", [])
    # A column is at least 96 wide, so the next one starts at 12 + 96 + 12; nothing of the first title is in it.
    top = alone.shape[0] - 12 - 24 - 20 - 100
    assert (alone[:top, 12:108] < 128).any()
    assert (pair[:top, 108:] == 255).all()
    assert np.array_equal(alone[:top, 12:108], pair[:top, 12:108])


def test_pictures_that_make_the_sheet_too_wide_go_to_further_rows() -> None:
    def width(count: int, size: int) -> int:
        tiles = [Tile(str(number), np.zeros((4, size, 3), np.uint8)) for number in range(count)]
        return panel(tiles, "", []).shape[1]

    assert width(5, 224) == 5 * 236 + 12
    assert width(6, 224) == 3 * 236 + 12
    assert width(13, 224) == 5 * 236 + 12
    assert width(3, 640) == 640 + 24
    assert width(12, 96) == 4 * 108 + 12 + 36  # not narrower than 480


def test_long_strip_is_drawn_larger_than_a_square() -> None:
    assert tile_of(np.zeros((64, 64, 3), np.uint8), 224).shape == (224, 224, 3)
    assert tile_of(np.zeros((200, 600, 3), np.uint8), 224).shape == (112, 336, 3)
    assert tile_of(np.zeros((60, 600, 3), np.uint8), 320).shape == (64, 640, 3)


@pytest.mark.parametrize(
    ("shape", "expected", "caption"),
    [
        ((10, 1000), (48, 640), ["drawn about 7.5 times as high as it is, so that it can be read"]),
        ((1000, 10), (640, 48), ["drawn about 7.5 times as wide as it is, so that it can be read"]),
        ((1, 1000), (48, 640), ["drawn about 75 times as high as it is, so that it can be read"]),
        ((60, 600), (64, 640), []),
        ((97, 301), (160, 496), []),
    ],
)
def test_very_long_strip_is_stretched_and_the_caption_says_so(
    shape: tuple[int, int], expected: tuple[int, int], caption: list[str]
) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    tile = tile_of(picture, 320)
    assert tile.shape[:2] == expected
    assert stretched(picture, tile) == caption


def test_outline_on_a_very_long_strip_leaves_its_inside() -> None:
    tile = tile_of(np.full((20, 2000, 3), 90, np.uint8), 320)
    # A box over two fifths of the height.
    corners = np.array([(100, 14), (300, 14), (300, 33), (100, 33)], float)
    drawn = drawing.outline(tile, corners, (255, 255, 255))
    assert drawn[14, 200].tolist() == drawn[33, 200].tolist() == [255, 255, 255]
    assert (drawn[18:29, 110:290] == 90).all()


def test_signed_overlay_is_red_above_zero_and_blue_below() -> None:
    picture = np.full((1, 4, 3), 100, np.uint8)
    share = np.array([[1, -1, 0, 1]], np.float32)
    drawn = drawing.signed_overlay(picture, share, np.array([[1, 1, 1, 0]], np.float32))[0].tolist()
    # Grey is 128 + 100 / 2 = 178; what is not seen is dimmed to 35 % of that.
    assert drawn == [[202, 0, 32], [5, 113, 176], [178, 178, 178], [62, 62, 62]]


def test_ring_goes_around_its_point_over_a_dark_edge() -> None:
    white = np.full((41, 61, 3), 255, np.uint8)
    drawn = drawing.ring(white, np.array([30.5, 20.5]), (255, 0, 255))
    assert drawn[20, 30].tolist() == [255, 255, 255]
    for y, x in ((14, 30), (26, 30), (20, 24), (20, 36)):
        assert drawn[y, x].tolist() == [255, 0, 255]
    ys, xs = np.nonzero((drawn < 128).all(axis=2))
    assert (xs.min() + xs.max(), ys.min() + ys.max()) == pytest.approx((60, 40), abs=1)


def test_contours_go_around_parts_and_holes() -> None:
    mask = np.zeros((10, 12), dtype=bool)
    mask[2:8, 1:7] = True
    mask[4:6, 3:5] = False
    mask[9, 11] = True
    found = sorted(
        (line.points.min(axis=0).tolist(), line.points.max(axis=0).tolist(), line.is_hole)
        for line in drawing.contours(mask)
    )
    # Through the centres of the pixels at the edge; a hole's, of the pixels around it.
    assert found == [
        ([1.5, 2.5], [6.5, 7.5], False),
        ([2.5, 3.5], [5.5, 6.5], True),
        ([11.5, 9.5], [11.5, 9.5], False),
    ]
    assert drawing.contours(np.zeros((3, 3), dtype=bool)) == []
