"""The text of a failure, read as someone at the end of a week would."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_cam.engine.scores.explained import Explained
from pytest_cam.images.geometry import Geometry
from pytest_cam.images.regions import Box, Mask, Polygon, Region
from pytest_cam.measures.localization import metric_named
from pytest_cam.verdicts.evidence import Evidence
from pytest_cam.verdicts.findings import Figure
from pytest_cam.verdicts.limits import Limits
from pytest_cam.verdicts.message import first_line, message, number
from pytest_cam.verdicts.region import measure

PREDICTED = Explained(3, "horse", 4.2, 0.981, 3, "horse")


def evidence(cam: np.ndarray, box: Region, metric: str = "skill", limits: Limits | None = None) -> Evidence:
    geometry = Geometry.identity((64, 64))
    measurement = measure(cam.astype(np.float32), geometry, box, metric_named(metric), limits or Limits(at_least=0.25))
    return Evidence(
        check="attention in box",
        map=cam.astype(np.float32),
        picture=np.zeros((64, 64, 3), np.uint8),
        image_name="horse.png",
        geometry=geometry,
        layer="layer4",
        layer_call=1,
        layer_calls=1,
        layout="NCHW, 4 x 4",
        method="gradcam++",
        explained=PREDICTED,
        regions=(box,),
        measurements=(measurement,),
    )


@pytest.fixture
def corner() -> Evidence:
    """All attention in the top left cell of 4 x 4, the region in the bottom right quarter."""
    cam = np.zeros((4, 4))
    cam[0, 0] = 2
    return evidence(cam, Box(32, 32, 64, 64))


def test_whole_message(corner: Evidence) -> None:
    assert message(corner).splitlines() == [
        "attention in box: skill -0.33 < 0.25 (gradcam++, layer4)",
        "",
        "  energy     0.00 in the region; chance 0.25, ceiling 1.00",
        "  region     (32, 32, 64, 64)",
        '  explained  class 3 "horse", probability 0.98, predicted',
        "  peak       (8, 8), 34 px outside the region",
        "  image      horse.png, 64 x 64",
        "",
        "  ┌──────────────────────────┐",
        "  │ ██████                   │",
        "  │ ██X███                   │",
        "  │ ██████                   │",
        "  │                          │",
        "  │                          │",
        "  │           ┏━━━━━━━━━━━━━┓│",
        "  │           ┃             ┃│",
        "  │           ┃             ┃│",
        "  │           ┃             ┃│",
        "  │           ┃             ┃│",
        "  │           ┃             ┃│",
        "  │           ┃             ┃│",
        "  └───────────┗━━━━━━━━━━━━━┛┘",
        "  fuller is stronger, X is the peak, the heavy line is the region's edge",
    ]


def test_path_is_short_below_the_working_directory_and_whole_where_that_is_elsewhere_or_gone(
    corner: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    photo = tmp_path / "here" / "photos" / "horse.png"
    named = replace(corner, image_name=str(photo))

    monkeypatch.chdir(tmp_path)
    assert f"image      {photo.relative_to(tmp_path)}, 64 x 64" in message(named)
    monkeypatch.chdir(tmp_path / "here")
    assert f"image      {Path('photos', 'horse.png')}, 64 x 64" in message(named)
    (tmp_path / "here").rmdir()
    assert f"image      {photo}, 64 x 64" in message(named)


@pytest.mark.parametrize(
    ("value", "said"), [(0.24, "0.24"), (0.249, "0.249"), (0.2496, "0.2496"), (0.249996, "0.249996"), (-1e-3, "0.00")]
)
def test_value_next_to_its_limit_is_given_enough_digits(corner: Evidence, value: float, said: str) -> None:
    near = replace(corner.measurements[0], value=value)
    assert f"skill {said} < 0.25" in message(replace(corner, measurements=(near,)))


def test_figure_in_words_says_whether_it_passes_and_what_it_means() -> None:
    words, held = "cat before and after", Limits(at_least=1.0)
    assert number(Figure("prediction", 1.0, held, words=words)) == "passes: cat before and after"
    assert number(Figure("prediction", 0.0, held, "by its name", words)) == "FAILS: cat before and after; by its name"


def test_figure_is_rounded_to_what_stays_on_its_side_of_the_limit() -> None:
    assert number(Figure("drop", 0.12345, meaning="of all")) == "0.123; of all"
    assert number(Figure("drop", 0.30049, Limits(at_least=0.3))) == "0.3, passes at least 0.3"
    assert number(Figure("drop", 0.29996, Limits(at_least=0.3))) == "0.29996, FAILS at least 0.3"
    assert number(Figure("drop", 0.2996, Limits(at_least=0.3))) == "0.2996, FAILS at least 0.3"


def test_image_is_said_with_what_the_model_sees_of_it(corner: Evidence) -> None:
    squash = Geometry((128, 96), (64, 48), ((0.5, 0, 0), (0, 0.5, 0)))
    assert "  image      horse.png, 128 x 96; the model sees 64 x 48\n" in message(replace(corner, geometry=squash))


def test_region_that_a_check_widened_is_said_to_be(corner: Evidence) -> None:
    small = Box(40, 40, 48, 48)
    wider = measure(corner.map, corner.geometry, small, metric_named("energy"), widen=True)
    said = message(replace(corner, regions=(small,), measurements=(wider,)))
    assert "  region     (40, 40, 48, 48) widened by one cell to (24, 24, 64, 64)\n" in said


def test_value_that_only_rounding_puts_outside_its_limit_is_not_said_to_be(corner: Evidence) -> None:
    passing = replace(corner.measurements[0], metric="lift", value=1.0000000000000002, limits=Limits(at_most=1.0))
    assert "lift 1.00 (at most 1)" in first_line(replace(corner, measurements=(*corner.measurements, passing)))
    failing = replace(passing, value=1.00001)
    assert "lift 1.00001 > 1" in first_line(replace(corner, measurements=(failing,)))
    passing = replace(passing, value=0.9999999, limits=Limits(at_least=1.0))
    assert "lift 1.00 (at least 1)" in first_line(replace(corner, measurements=(*corner.measurements, passing)))


def test_value_is_held_against_the_limit_that_it_fails(corner: Evidence) -> None:
    between = replace(corner.measurements[0], limits=Limits(at_least=0.1, at_most=0.5))
    for value, said in ((0.7, "skill 0.70 > 0.5"), (0.05, "skill 0.05 < 0.1"), (0.3, "skill 0.30 (at least 0.1 and")):
        assert said in first_line(replace(corner, measurements=(replace(between, value=value),)))
    only_told = replace(between, value=0.3, limits=Limits())
    assert first_line(replace(corner, measurements=(only_told,))) == "attention in box: skill 0.30 (gradcam++, layer4)"


def test_limit_of_a_file_is_said_to_be_the_files(corner: Evidence) -> None:
    agreed = replace(corner.measurements[0], limits=Limits(at_least=0.4, origin="limits.toml"))
    assert "  limit      skill at least 0.4, limit from limits.toml\n  energy     0.00 in" in message(
        replace(corner, measurements=(agreed,))
    )


def test_model_that_predicts_something_else_is_said(corner: Evidence) -> None:
    text = message(replace(corner, explained=replace(PREDICTED, predicted=5, predicted_name="cow")))
    assert '  explained  class 3 "horse", probability 0.98; the model predicts cow\n' in text
    assert "try: the model predicts cow, not horse" in text


def test_evidence_without_a_measurement_has_a_headline(corner: Evidence) -> None:
    unmeasured = replace(corner, check="attention", measurements=())
    assert first_line(unmeasured) == "attention (gradcam++, layer4)"
    assert "  peak       none\n" in message(unmeasured)
    assert message(unmeasured).endswith("fuller is stronger, X is the peak")
    assert first_line(replace(unmeasured, problem="no evidence")) == "no evidence"


def test_layer_that_ran_twice_is_said(corner: Evidence) -> None:
    assert "(gradcam++, layer4 in run 2 of 2)" in message(replace(corner, layer_call=2, layer_calls=2))


def test_score_of_a_callable_is_given_by_value(corner: Evidence) -> None:
    text = message(replace(corner, explained=Explained(None, "margin", 1.25, None, None, None)))
    assert "  explained  margin = 1.25\n" in text
    text = message(replace(corner, explained=Explained(None, "margin", 1.25, None, 5, "cow")))
    assert "  explained  margin = 1.25; the model predicts cow\n" in text
    assert "try:" not in text  # it is no class that could have been predicted instead


def test_score_of_a_single_logit_is_called_that(corner: Evidence) -> None:
    against = Explained(0, "cat", 2.0, 0.88, 0, "cat", "minus the single logit")
    text = message(replace(corner, explained=against))
    assert '  explained  class 0 "cat" (minus the single logit), probability 0.88, predicted\n' in text


def test_coarse_map_gets_a_hint() -> None:
    cam = np.zeros((4, 4))
    cam[3, 3] = 1
    text = message(evidence(cam, Box(7, 7, 25, 25)))
    assert "try: the map has only 4 x 4 cells; an earlier layer has a finer grid" in text


def test_shared_peak_is_said_and_fails_the_pointing_game() -> None:
    cam = np.zeros((4, 4))
    cam[0, :2] = 1
    found = evidence(cam, Box(0, 0, 16, 16), "pointing", Limits(at_least=1))
    assert found.measurements[0].passed is False
    assert message(found).startswith("attention in box: pointing undecided, the peak is shared by 2 cells")
    assert "peak       shared by 2 of 16 cells" in message(found)


def test_peak_beside_a_region_that_it_hits_is_said_to_be_within_the_tolerance() -> None:
    cam = np.zeros((4, 4))
    cam[1, 1] = 1  # its centre is (24, 24), and the tolerance is half a cell, 8 pixels
    found = message(evidence(cam, Box(30, 16, 46, 32), "pointing", Limits(at_most=0.0)))
    assert found.startswith("attention in box: pointing 1.00 > 0")
    assert "peak       (24, 24), 6 px outside the region, within the pointing game's tolerance" in found


def test_peak_is_said_to_be_in_the_region_only_where_it_is() -> None:
    cam = np.zeros((4, 4))
    cam[1, 1] = 1  # its centre is (24, 24)
    for box, where in [
        (Box(24, 20, 40, 40), "in the region"),
        (Box(24.25, 20, 40, 40), "at the region's edge"),
        (Box(24.75, 20, 40, 40), "1 px outside the region"),
    ]:
        assert f"peak       (24, 24), {where}\n" in message(evidence(cam, box))


def test_small_region_is_still_outlined() -> None:
    cam = np.zeros((4, 4))
    cam[3, 3] = 1
    tiny = evidence(cam, Box(20, 20, 32, 32))
    tiny = replace(tiny, measurements=(replace(tiny.measurements[0], region=Box(22, 22, 24, 24)),))
    assert "┏" in message(tiny)


def test_layout_is_told_where_it_was_inferred(corner: Evidence) -> None:
    assert "layout" not in message(corner)
    told = message(replace(corner, layout="tokens, 4 x 4, 1 token before them"))
    assert "  layout     tokens, 4 x 4, 1 token before them" in told.splitlines()


def test_hole_of_a_mask_is_outlined() -> None:
    cam = np.zeros((4, 4))
    cam[0, 0] = 1
    array = np.zeros((64, 64), bool)
    array[16:64, 16:64] = True
    array[28:48, 28:48] = False
    found = evidence(cam, Mask(array), "energy")
    assert "  region     mask of 1904 pixels in (16, 16, 64, 64)\n" in message(found)
    assert message(found).splitlines()[8:22] == [
        "  ┌──────────────────────────┐",
        "  │ ██████                   │",
        "  │ ██X███                   │",
        "  │ ████┏━━━━━━━━━━━━━━━━━━━┓│",
        "  │     ┃                   ┃│",
        "  │     ┃                   ┃│",
        "  │     ┃                   ┃│",
        "  │     ┃       ┏━━━┓       ┃│",
        "  │     ┃       ┃   ┃       ┃│",
        "  │     ┃       ┗━━━┛       ┃│",
        "  │     ┃                   ┃│",
        "  │     ┃                   ┃│",
        "  │     ┃                   ┃│",
        "  └─────┗━━━━━━━━━━━━━━━━━━━┛┘",
    ]


def test_small_part_of_a_union_is_still_outlined() -> None:
    cam = np.zeros((4, 4))
    cam[0, 0] = 1
    text = message(evidence(cam, Box(32, 32, 64, 64) | Box(12, 44, 13, 45), "energy"))
    assert "  region     (32, 32, 64, 64) | (12, 44, 13, 45)\n" in text
    assert text.count("┏") == 2


def test_dilated_region_is_given_as_the_user_wrote_it() -> None:
    cam = np.zeros((4, 4))
    cam[0, 0] = 1
    assert "region     (40, 40, 48, 48) widened by 1 cell to (24, 24, 64, 64)\n" in message(
        evidence(cam, Box(40, 40, 48, 48).dilate(), "energy")
    )
    assert "region     polygon of 3 points in (40, 40, 48, 48) widened by 0.5 cells\n" in message(
        evidence(cam, Polygon([(40, 40), (48, 40), (40, 48)]).dilate(0.5), "energy")
    )


def test_dilated_region_of_a_photo_is_not_said_to_be_widened_by_the_check_too(corner: Evidence) -> None:
    # Cells are 32 x 16 of the photo's pixels, of which the model sees half across.
    squash = Geometry((128, 64), (64, 64), ((0.5, 0, 0), (0, 1, 0)))
    given = Box(96, 32, 112, 48).dilate()
    measured = measure(corner.map, squash, given, metric_named("energy"))
    said = message(replace(corner, geometry=squash, regions=(given,), measurements=(measured,)))
    assert "region     (96, 32, 112, 48) widened by 1 cell to (64, 16, 128, 64)\n" in said


def test_part_that_is_cropped_away_is_said(corner: Evidence) -> None:
    cropped = replace(corner.measurements[0], visible_share=0.8)
    text = message(replace(corner, measurements=(cropped,)))
    assert "(32, 32, 64, 64); the model saw 80% of it" in text
    assert "try: the preprocess crops part of the region away" in text
    around = replace(cropped, region=~Box(0, 0, 32, 64))
    assert "try: the preprocess crops" not in message(replace(corner, measurements=(around,)))
