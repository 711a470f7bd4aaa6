"""What limits may be, and when a check decides nothing."""

import numpy as np
import pytest

from pytest_cam.errors import LimitError, UnattainableError, VacuousError
from pytest_cam.measures.localization import METRICS, GridRegion, Metric
from pytest_cam.verdicts.agreeing import require_fallible
from pytest_cam.verdicts.findings import Figure
from pytest_cam.verdicts.limits import (
    FIXED,
    IN_REGION,
    NOT_IN_REGION,
    Limits,
    least,
    limits_for,
    require_decidable,
    require_spread,
)

SKILL, ENERGY, LIFT, POINTING = (METRICS[name] for name in ("skill", "energy", "lift", "pointing"))


def region(grid: tuple[int, int], size: tuple[int, int], box: tuple[int, int, int, int]) -> GridRegion:
    coverage = np.zeros(size)
    x1, y1, x2, y2 = box
    coverage[y1:y2, x1:x2] = 1
    return GridRegion.of(coverage, grid)


@pytest.mark.parametrize(
    ("metric", "defaults", "expected"),
    [
        (SKILL, IN_REGION, Limits(at_least=0.25)),
        (POINTING, IN_REGION, Limits(at_least=1.0)),
        (LIFT, NOT_IN_REGION, Limits(at_most=1.0)),
        (SKILL, NOT_IN_REGION, Limits(at_most=0.0)),
        (POINTING, NOT_IN_REGION, Limits(at_most=0.0)),
    ],
)
def test_defaults_are_those_of_the_documentation_and_a_limits_file_may_replace_them(metric, defaults, expected) -> None:
    found = limits_for(metric, None, None, defaults)
    assert found == expected
    assert found.is_default


def test_a_check_that_takes_no_lower_limit_asks_for_none() -> None:
    with pytest.raises(LimitError, match=r"no default limit in this check: give at_most=\. Defaults exist for: lift"):
        limits_for(ENERGY, None, None, NOT_IN_REGION)


def test_one_limit_given_takes_the_place_of_all_defaults() -> None:
    assert limits_for(SKILL, None, 0.9, IN_REGION) == Limits(at_most=0.9)
    assert limits_for(SKILL, 0, None, IN_REGION) == Limits(at_least=0.0)


def test_a_value_may_be_held_between_two_limits() -> None:
    assert limits_for(SKILL, 0.3, 0.9, IN_REGION) == Limits(at_least=0.3, at_most=0.9)
    assert limits_for(SKILL, 0.5, 0.5, IN_REGION) == Limits(at_least=0.5, at_most=0.5)


@pytest.mark.parametrize(
    ("metric", "at_least", "at_most", "words"),
    [
        (ENERGY, None, None, ["'energy' has no default limit", "skill at least 0.25"]),
        (SKILL, 0.6, 0.5, ["at_least=0.6 is above at_most=0.5"]),
        (SKILL, 1.5, None, ["at_least=1.5 is outside the range of skill", "to 1"]),
        (ENERGY, 25, None, ["at_least=25 is outside the range of energy, 0 to 1; 25% is 0.25"]),
        (SKILL, 50, None, ["at_least=50 is outside the range of skill", "to 1; 50% is 0.5"]),
        (ENERGY, None, 12.5, ["at_most=12.5 is outside the range of energy, 0 to 1; 12.5% is 0.125"]),
        (ENERGY, None, -0.1, ["at_most=-0.1 is outside the range"]),
        (LIFT, None, -1, ["at_most=-1 is outside the range of lift, 0 to any number"]),
        (LIFT, float("inf"), None, ["at_least=inf"]),
        (SKILL, float("nan"), None, ["at_least=nan"]),
        (SKILL, "high", None, ["at_least is 'high'", "a number"]),
        (SKILL, "0.3", None, ["at_least is '0.3'; accepted: a number"]),
        (LIFT, None, True, ["at_most is True; accepted: a number"]),
        (SKILL, np.bool_(False), None, ["at_least is ", "False", "; accepted: a number"]),
    ],
)
def test_senseless_limits_are_named(metric, at_least, at_most, words) -> None:
    with pytest.raises(LimitError) as raised:
        limits_for(metric, at_least, at_most, IN_REGION)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("name", ["energy", "pointing", "iou", "rank"])
def test_limits_of_shares_lie_between_0_and_1(name: str) -> None:
    for limit in (0.0, 1.0):
        assert limits_for(METRICS[name], limit, None, IN_REGION) == Limits(at_least=limit)
    for limit in (-0.01, 1.01):
        with pytest.raises(LimitError, match=f"at_most={limit} is outside the range of {name}, 0 to 1"):
            limits_for(METRICS[name], None, limit, IN_REGION)


def test_limits_of_skill_and_lift_have_one_end() -> None:
    assert limits_for(SKILL, -7, None, IN_REGION) == Limits(at_least=-7)
    assert limits_for(SKILL, 1, None, IN_REGION) == Limits(at_least=1)
    assert limits_for(LIFT, 0, 700, IN_REGION) == Limits(at_least=0, at_most=700)
    with pytest.raises(LimitError, match=r"outside the range of skill, any number to 1"):
        limits_for(SKILL, 1.01, None, IN_REGION)
    with pytest.raises(LimitError, match=r"outside the range of lift, 0 to any number"):
        limits_for(LIFT, -0.01, None, IN_REGION)


def test_limit_above_the_ceiling_is_unattainable() -> None:
    corner = region((7, 7), (224, 224), (112, 112, 144, 144))
    with pytest.raises(
        UnattainableError, match=r"unattainable: energy at least 0.3, but the map has 7 x 7 cells.*0\.25"
    ):
        require_decidable(ENERGY, Limits(at_least=0.3), corner)
    require_decidable(ENERGY, Limits(at_least=0.25), corner)


def test_limit_below_the_floor_is_unattainable() -> None:
    # A 1 x 2 map on 4 pixels, all but the first pixel: at least half of any map's mass lies there.
    most = region((1, 2), (1, 4), (1, 0, 4, 1))
    with pytest.raises(UnattainableError, match=r"at most 0.4.*least possible in this region is 0\.50"):
        require_decidable(ENERGY, Limits(at_most=0.4), most)


@pytest.mark.parametrize(
    ("metric", "limits"),
    [
        (ENERGY, Limits(at_least=0.0)),
        (ENERGY, Limits(at_most=1.0)),
        (LIFT, Limits(at_most=100)),
        (SKILL, Limits(at_least=-5.0)),
        (SKILL, Limits(at_least=-5.0, at_most=1.0)),
        (POINTING, Limits(at_least=0.0)),
        (POINTING, Limits(at_most=1.0)),
    ],
)
def test_limit_that_every_map_meets_is_vacuous(metric, limits) -> None:
    with pytest.raises(VacuousError, match="passes whatever the model does"):
        require_decidable(metric, limits, region((8, 8), (64, 64), (16, 16, 40, 40)))


def test_region_of_more_than_half_the_input_is_vacuous() -> None:
    for metric in METRICS.values():
        with pytest.raises(VacuousError, match=r"covers 56% of what the model sees"):
            require_spread(metric, region((8, 8), (64, 64), (0, 0, 64, 36)))
        require_spread(metric, region((8, 8), (64, 64), (0, 0, 64, 30)))
        with pytest.raises(VacuousError, match=r"covers 50\.1% of what the model sees, and more than half"):
            require_spread(metric, region((10, 10), (1000, 1000), (0, 0, 1000, 501)))
        with pytest.raises(VacuousError, match=r"covers 50\.5% of what the model sees, and more than half"):
            require_spread(metric, region((10, 10), (200, 200), (0, 0, 101, 200)))


@pytest.mark.parametrize("size", [(336, 336), (518, 518), (300, 300), (100, 200), (299, 299), (224, 224)])
@pytest.mark.parametrize(("metric", "at_most"), [(LIFT, 1.0), (ENERGY, 1.0)])
def test_all_of_the_image_is_a_vacuous_region_on_any_grid(metric, at_most, size) -> None:
    for cell in (7, 8, 10, 14, 30, 32, 37):
        whole = region((size[0] // cell, size[1] // cell), size, (0, 0, size[1], size[0]))
        with pytest.raises(VacuousError):
            require_decidable(metric, Limits(at_most=at_most), whole)


def test_ceiling_too_close_to_chance_is_vacuous() -> None:
    # One 8 px box in the corner where four 32 px cells meet: the ceiling is 0.017, chance 0.001.
    with pytest.raises(VacuousError, match=r"7 x 7 cells.*energy of 0\.02.*chance alone gives 0\.00"):
        require_spread(SKILL, region((7, 7), (224, 224), (124, 124, 132, 132)))


@pytest.mark.parametrize("metric", [SKILL, ENERGY, LIFT], ids=lambda metric: metric.name)
def test_chance_and_ceiling_lie_a_fifth_apart(metric: Metric) -> None:
    # The region is a share of one of 100 pixels, each a cell: that is the ceiling, and chance a hundredth of it.
    coverage = np.zeros((10, 10))
    coverage[4, 4] = 0.21
    require_spread(metric, GridRegion.of(coverage, (10, 10)))
    coverage[4, 4] = 0.2
    with pytest.raises(VacuousError, match=r"energy of 0\.20 .* gives 0\.00; they must differ by 0\.2"):
        require_spread(metric, GridRegion.of(coverage, (10, 10)))


def test_pointing_game_that_most_cells_win_is_vacuous() -> None:
    # 2 x 2 cells of 32 px: the tolerance is 16 px, and from each cell's centre the middle is that near.
    with pytest.raises(VacuousError, match=r"hit from 100% of the map's cells"):
        require_spread(POINTING, region((2, 2), (64, 64), (20, 20, 44, 44)))


def test_iou_and_rank_have_no_default_limit() -> None:
    for name in ("iou", "rank"):
        with pytest.raises(LimitError, match=f"'{name}' has no default limit in this check"):
            limits_for(METRICS[name], None, None, IN_REGION)


def test_iou_above_what_the_core_of_a_cell_allows_is_unattainable() -> None:
    # Each of 7 x 7 cells of 32 px marks 624 px or more, of which an 8 px box has 64.
    box = region((7, 7), (224, 224), (108, 108, 116, 116))
    with pytest.raises(UnattainableError, match=r"iou at least 0\.2, but the map has 7 x 7 cells.*0\.10"):
        require_decidable(METRICS["iou"], Limits(at_least=0.2), box)
    require_decidable(METRICS["iou"], Limits(at_least=0.1), box)


def test_a_small_region_is_no_vacuous_check_of_the_iou() -> None:
    # By energy it is: chance and ceiling are too close. A map that marks all of the input has an IoU of 0.001 here.
    box = region((7, 7), (224, 224), (108, 108, 116, 116))
    with pytest.raises(VacuousError):
        require_spread(SKILL, region((7, 7), (224, 224), (124, 124, 132, 132)))
    require_spread(METRICS["iou"], box)
    require_spread(METRICS["rank"], box)


@pytest.mark.parametrize("name", ["iou", "rank"])
@pytest.mark.parametrize("limits", [Limits(at_least=0.0), Limits(at_most=1.0)])
def test_iou_and_rank_that_every_map_meets_are_vacuous(name, limits) -> None:
    with pytest.raises(VacuousError, match="passes whatever the model does"):
        require_decidable(METRICS[name], limits, region((8, 8), (64, 64), (16, 16, 40, 40)))


def test_rank_of_a_region_that_covers_pixels_in_part_is_at_most_what_the_best_order_gives() -> None:
    # Four pixels half covered: an area of 2, and the best 2 pixels hold half of it.
    half = GridRegion.of(np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]), (2, 3))
    with pytest.raises(UnattainableError, match=r"rank at least 0\.6.*0\.50"):
        require_decidable(METRICS["rank"], Limits(at_least=0.6), half)


def test_limits_say_where_they_come_from() -> None:
    assert least(None, 0.25).source == "built in"
    assert least(0.3, 0.25).source == "the call"
    assert Limits(at_most=0.5, origin="cam_limits.toml").source == "cam_limits.toml"
    assert Limits().source is None
    fixed = Limits(at_least=1.0, origin=FIXED)
    assert (fixed.source, fixed.is_default, str(fixed)) == ("the check itself", False, "at least 1")


@pytest.mark.parametrize(
    ("limits", "error", "words"),
    [
        (
            Limits(at_most=50, origin="l.toml"),
            LimitError,
            "l.toml gives at_most = 50 for Pearson, .* outside its range",
        ),
        (Limits(at_least=-7, origin="l.toml"), LimitError, "at_least = -7 for Pearson"),
        (
            Limits(at_most=1, origin="l.toml"),
            VacuousError,
            "vacuous: Pearson at most 1, limit from l.toml passes whatever",
        ),
        (Limits(at_least=-1, origin="l.toml"), VacuousError, "vacuous: Pearson at least -1"),
    ],
)
def test_limits_of_a_file_lie_in_the_range_of_a_number_and_can_fail_it(limits, error, words) -> None:
    figure = Figure("Pearson", 0.5, range=(-1.0, 1.0))
    with pytest.raises(error, match=words):
        require_fallible(limits, figure, "Pearson")
    require_fallible(Limits(at_most=0.5, origin="l.toml"), figure, "Pearson")


@pytest.mark.parametrize(
    ("value", "limits", "passes"),
    [
        (1 - 1e-7, Limits(at_least=1.0), True),
        (1.0000000000000002, Limits(at_most=1.0), True),
        (7.8e-17, Limits(at_most=0.0), True),
        (0.5, Limits(at_least=0.5, at_most=0.5), True),
        (1 - 1e-5, Limits(at_least=1.0), False),
        (1e-5, Limits(at_most=0.0), False),
        (float("nan"), Limits(at_most=1.0), False),
        (float("nan"), Limits(), False),
    ],
)
def test_rounding_decides_nothing(value: float, limits: Limits, passes: bool) -> None:
    assert Figure("skill", value, limits).passed is passes


def test_map_that_is_the_same_everywhere_is_no_more_than_chance_in_any_box() -> None:
    for corner in range(1, 12):
        box = region((7, 7), (224, 224), (corner, corner, 15 * corner, 16 * corner))
        for metric in (LIFT, SKILL):
            value = metric.value(np.full((7, 7), 0.1), box)
            assert Figure(metric.name, value, NOT_IN_REGION[metric.name]).passed
