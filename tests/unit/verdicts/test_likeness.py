from __future__ import annotations

import numpy as np
import pytest

from pytest_cam.errors import EmptyMapError, FlatMapError, KeywordError, LimitError, VacuousError
from pytest_cam.verdicts.likeness import likeness, rule

LEFT = np.array([[1.0, 0.0], [1.0, 0.0]])
RIGHT = np.array([[0.0, 1.0], [0.0, 1.0]])


def figures(*args, **kwargs):
    return {figure.name: figure for figure in likeness(*args, **kwargs)}


@pytest.mark.parametrize("mode", ["same-weights", "retrained"])
def test_a_map_is_like_itself_at_any_scale(mode):
    assert all(figure.passed for figure in likeness(LEFT, 3 * LEFT, mode))


def test_same_weights_holds_cosine_and_max_difference():
    # (1, 0, 1, 0) against (1, 0.2, 1, 0): cosine 2 / sqrt(2 * 2.04), difference 0.2.
    found = figures(LEFT, [[1.0, 0.2], [1.0, 0.0]], "same-weights")
    assert list(found) == ["cosine", "max difference"]
    assert found["cosine"].value == pytest.approx(2 / np.sqrt(2 * 2.04))
    assert found["max difference"].value == pytest.approx(0.2)
    assert not found["cosine"].passed
    assert not found["max difference"].passed


def test_retrained_holds_emd_and_pearson():
    # All of the mass moves by one cell; the diagonal of 2 x 2 cells is sqrt(8) cells long.
    found = figures(LEFT, RIGHT, "retrained")
    assert list(found) == ["EMD", "Pearson"]
    assert found["EMD"].value == pytest.approx(1 / np.sqrt(8), abs=1e-6)
    assert found["Pearson"].value == pytest.approx(-1.0)
    assert not found["EMD"].passed
    assert not found["Pearson"].passed


def test_emd_is_measured_in_the_extent_given():
    # Cells of 1 x 3: the way is 3, the diagonal sqrt(2^2 + 6^2).
    found = figures(LEFT, RIGHT, "retrained", extent=(2.0, 6.0))
    assert found["EMD"].value == pytest.approx(3 / np.sqrt(40), abs=1e-6)


def test_limits_replace_those_of_the_rule_and_stand_beside_them():
    found = figures(LEFT, RIGHT, "retrained", limits={"emd": 0.5, "cosine": 0.0, "pearson": None})
    assert list(found) == ["cosine", "EMD", "Pearson"]
    assert found["cosine"].passed
    assert found["EMD"].passed
    assert found["Pearson"].limits.at_least == 0.6


@pytest.mark.parametrize(
    ("mode", "limits", "error", "names"),
    [
        ("retraind", None, KeywordError, "'retrained'"),
        (None, None, KeywordError, "'same-weights'"),
        (["retrained"], None, KeywordError, r"there is no mode \['retrained'\]"),
        ("retrained", {"spearman": 0.5}, KeywordError, "'pearson'"),
        ("retrained", {"pearson": 1.5}, LimitError, "pearson=1.5 is outside the range of Pearson, -1 to 1"),
        ("retrained", {"pearson": -1, "emd": 1}, VacuousError, "vacuous: with emd=1 and pearson=-1 any two maps pass"),
        ("same-weights", {"cosine": 0, "max_difference": 1}, VacuousError, "cosine=0 and max_difference=1 any two"),
        ("same-weights", {"cosine": -0.1}, LimitError, "outside the range of cosine, 0 to 1"),
        ("same-weights", {"max_difference": 1.1}, LimitError, "outside the range of max difference, 0 to 1"),
        ("same-weights", {"max_difference": -0.1}, LimitError, "outside the range of max difference, 0 to 1"),
        ("retrained", {"emd": 1.1}, LimitError, "outside the range of EMD, 0 to 1"),
        ("retrained", {"emd": -0.1}, LimitError, "outside the range of EMD, 0 to 1"),
        ("same-weights", {"cosine": "high"}, LimitError, "cosine is 'high'; accepted: a number"),
    ],
)
def test_what_makes_no_rule_is_an_error(mode, limits, error, names):
    with pytest.raises(error, match=names):
        rule(mode, limits)


def test_the_strictest_limits_are_limits():
    strictest = {"cosine": 1, "max_difference": 0, "emd": 0, "pearson": 1}
    assert rule("retrained", strictest) == strictest
    assert all(figure.passed for figure in likeness(LEFT, 2 * LEFT, "retrained", limits=strictest))


def test_limits_of_a_file_have_the_range_of_what_they_bound():
    found = likeness(LEFT, LEFT, "retrained", limits={"cosine": 1, "max_difference": 0})
    ranges = {figure.name: figure.range for figure in found}
    assert ranges == {"cosine": (0, 1), "max difference": (0, 1), "EMD": (0, 1), "Pearson": (-1, 1)}


def test_an_empty_map_is_an_error():
    with pytest.raises(EmptyMapError):
        likeness(LEFT, np.zeros((2, 2)), "retrained")


def test_two_maps_without_a_pattern_have_none_to_compare():
    # Half a thousandth of the maximum is no pattern, two thousandths are one.
    flat, nearly = np.ones((2, 2)), np.array([[1.0, 0.9995], [1.0, 1.0]])
    with pytest.raises(FlatMapError, match=r"both maps are the same everywhere.*mode='same-weights' compares values"):
        likeness(flat, nearly, "retrained")
    for one, other in ((flat, LEFT), (LEFT, flat)):
        assert not figures(one, other, "retrained")["Pearson"].passed
    assert all(figure.passed for figure in likeness(np.array([[1.0, 0.998]]), np.array([[2.0, 1.996]]), "retrained"))
    assert all(figure.passed for figure in likeness(flat, nearly, "same-weights"))
    assert all(figure.passed for figure in likeness(flat, flat, "retrained", limits={"pearson": -1.0}))
