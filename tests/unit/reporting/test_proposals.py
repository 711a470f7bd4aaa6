"""From an accepted model's values to limits."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytest_cam.reporting.proposals import propose, propose_over_parameters
from pytest_cam.running import Agreed, CheckRecord

RANGES = {
    "skill": [-math.inf, 1.0],
    "lift": [0.0, math.inf],
    "Pearson": [-1.0, 1.0],
    "drop of probability": [-1.0, 1.0],
    **{name: [0.0, 1.0] for name in ("energy", "pointing", "iou", "rank", "EMD")},
}


def record(metric: str, value: float, side: str = "at_least", test: str = "a.py::t", **changed: Any) -> CheckRecord:
    return {
        "test": test,
        "function": "a.py::t",
        "number": 1,
        "check": "attention in box",
        "metric": metric,
        "value": value,
        "sides": [side],
        "present": "at least 0.25",
        "held": [0.25, None],
        "giver": "file",
        "range": RANGES.get(metric, [-math.inf, math.inf]),
        "level": {"skill": 0.0, "lift": 1.0, "energy": 0.2}.get(metric),
        "chance": 0.2,
        "ceiling": 0.6,
    } | changed


@pytest.mark.parametrize(
    ("metric", "value", "side", "expected"),
    [
        ("skill", 0.62, "at_least", Agreed(0.52)),
        ("skill", 0.6289, "at_least", Agreed(0.528)),  # rounded to the safe side
        ("energy", 0.5, "at_least", Agreed(0.46)),  # a tenth of the way from 0.2 to 0.6
        ("lift", 2.5, "at_least", Agreed(2.3)),  # the same, over 0.2
        ("pointing", 1.0, "at_least", Agreed(1.0)),
        ("lift", 0.05, "at_most", Agreed(None, 0.25)),
        ("lift", 0.95, "at_most", Agreed(None, 1.0)),  # never worse than chance
        ("lift", 1.0000000000000002, "at_most", Agreed(None, 1.0)),  # which is chance, but for rounding
        ("energy", 0.15, "at_most", Agreed(None, 0.19)),
        ("skill", -0.25, "at_most", Agreed(None, -0.15)),
        ("skill", -0.05, "at_most", Agreed(None, 0.0)),
        ("pointing", 0.0, "at_most", Agreed(None, 0.0)),
    ],
)
def test_limit_is_the_value_less_a_margin(metric, value, side, expected) -> None:
    proposal = propose(record(metric, value, side), 0.1)
    assert proposal.agreed == expected
    assert (proposal.value, proposal.chance, proposal.ceiling, proposal.reason) == (value, 0.2, 0.6, "")


@pytest.mark.parametrize(
    ("metric", "value", "side", "reason"),
    [
        ("skill", 0.1, "at_least", "none: less the margin it is no better than chance, 0.00"),
        ("energy", 0.24, "at_least", "none: less the margin it is no better than chance, 0.20"),
        ("lift", 1.1, "at_least", "none: less the margin it is no better than chance, 1.00"),
        ("pointing", 0.0, "at_least", "none: the peak misses the region"),
        ("skill", 0.01, "at_most", "none: it is more than chance, 0.00"),
        ("lift", 1.1, "at_most", "none: it is more than chance, 1.00"),
        ("pointing", 1.0, "at_most", "none: the peak lies in the region"),
        ("pointing", math.nan, "at_least", "none: the value is not a number"),
        ("EMD", math.inf, "at_most", "none: the value is not a number"),
        ("iou", 0.0, "at_least", "none: with the margin nothing could fail it"),
        ("rank", 0.905, "at_most", "none: with the margin nothing could fail it"),
        ("Pearson", 1.0, "at_most", "none: with the margin nothing could fail it"),
    ],
)
def test_limit_that_would_say_nothing_is_not_proposed(metric, value, side, reason) -> None:
    proposal = propose(record(metric, value, side), 0.1)
    assert (proposal.is_made, proposal.reason) == (False, reason)


def test_number_that_does_not_fall_has_no_limit() -> None:
    figure = {"chance": None, "ceiling": None, "level": 0.0}
    found = propose(record("drop of probability", 0.0, **figure), 0.1)
    assert (found.is_made, found.reason) == (False, "none: less the margin it is no better than chance, 0.00")


def test_limit_that_the_file_cannot_replace_is_not_proposed() -> None:
    found = propose(record("skill", 0.9, giver="call"), 0.1)
    assert (found.is_made, found.agreed, found.reason) == (False, Agreed(0.8), "to go into the call")
    found = propose(record("skill", 0.9, giver="check"), 0.1)
    assert (found.is_made, found.agreed) == (False, Agreed())


def test_number_without_chance_gets_the_margin_as_it_is() -> None:
    figure = {"chance": None, "ceiling": None}
    assert propose(record("Pearson", 0.83, **figure), 0.1).agreed == Agreed(0.73)
    assert propose(record("EMD", 0.06, "at_most", **figure), 0.1).agreed == Agreed(None, 0.16)


def test_check_with_two_limits_keeps_both_within_the_metrics_range() -> None:
    both = {"sides": ["at_least", "at_most"]}
    assert propose(record("skill", 0.95, **both), 0.1).agreed == Agreed(0.85, 1.0)
    assert propose(record("energy", 0.01, **both), 0.1).agreed == Agreed(0.0, 0.05)


def test_parameters_share_their_5th_percentile_less_the_margin() -> None:
    records = [record("skill", 0.5 + index / 100, test=f"a.py::t[{index}]") for index in range(21)]
    (proposal,) = propose_over_parameters(records, 0.1)
    assert (proposal.key.test, proposal.agreed, proposal.reason) == ("a.py::t", Agreed(0.41), "of 21 parameters")
    assert proposal.value == pytest.approx(0.51)


def test_parameters_share_their_95th_percentile_where_less_is_better() -> None:
    records = [record("lift", index / 100, "at_most", test=f"a.py::t[{index}]") for index in range(21)]
    (proposal,) = propose_over_parameters(records, 0.1)
    assert proposal.agreed == Agreed(None, 0.39)  # 0.19, and a tenth of (0.6 - 0.2) / 0.2
    assert proposal.value == pytest.approx(0.19)


@pytest.mark.parametrize(
    ("metric", "value", "side", "agreed", "reason"),
    [
        # Less the margins 0.44 and 0.465, of which the 5th percentile is above the chance of one and not of the other.
        (
            "energy",
            0.48,
            "at_least",
            Agreed(),
            "of 2 parameters: none: less the margin it is no better than chance, 0.45",
        ),
        # With the margins 0.23 and 0.205, and no limit is worse than the chance of any.
        ("energy", 0.19, "at_most", Agreed(None, 0.2), "of 2 parameters"),
    ],
)
def test_parameters_are_held_to_the_strictest_chance_of_them(metric, value, side, agreed, reason) -> None:
    records = [
        record(metric, value, side, test=f"a.py::t[{chance}]", chance=chance, level=chance) for chance in (0.2, 0.45)
    ]
    for order in (records, records[::-1]):
        (proposal,) = propose_over_parameters(order, 0.1)
        assert (proposal.agreed, proposal.reason) == (agreed, reason)


@pytest.mark.parametrize(
    ("misses", "agreed", "reason"),
    [(1, Agreed(1.0), "of 21 parameters"), (2, Agreed(), "of 21 parameters: none: the peak misses the region")],
)
def test_parameters_of_which_more_than_5_percent_miss_have_no_limit_on_pointing(misses, agreed, reason) -> None:
    records = [record("pointing", float(index >= misses), test=f"a.py::t[{index}]") for index in range(21)]
    (proposal,) = propose_over_parameters(records, 0.1)
    assert (proposal.agreed, proposal.reason) == (agreed, reason)


def test_limit_over_parameters_is_not_for_the_file_where_the_call_of_one_gives_it() -> None:
    records = [record("skill", 0.5, test=f"a.py::t[{giver}]", giver=giver) for giver in ("file", "call")]
    (proposal,) = propose_over_parameters(records, 0.1)
    assert (proposal.is_made, proposal.agreed) == (False, Agreed(0.4))
    assert (proposal.present, proposal.reason) == ("at least 0.25", "of 2 parameters, to go into the call")


def test_parameters_with_several_limits_now_are_said_to_have_various_ones() -> None:
    records = [record("skill", 0.5, test=f"a.py::t[{limit}]", present=f"at least {limit}") for limit in (0.1, 0.25)]
    (proposal,) = propose_over_parameters(records, 0.1)
    assert proposal.present == "various"


def test_parameters_of_which_one_has_no_number_share_nothing() -> None:
    records = [record("pointing", value, test=f"a.py::t[{value}]") for value in (1.0, math.nan)]
    (proposal,) = propose_over_parameters(records, 0.1)
    assert (proposal.is_made, proposal.reason) == (
        False,
        "of 2 parameters: one is not a number, or asks for another side",
    )


def test_one_parameter_or_none_shares_nothing() -> None:
    assert propose_over_parameters([record("skill", 0.5), record("skill", 0.5, test="a.py::t[1]")], 0.1) == []


@pytest.mark.parametrize(
    ("metric", "value", "side", "held", "is_weaker"),
    [
        ("skill", 0.34, "at_least", [0.25, None], True),  # at least 0.24
        ("skill", 0.35, "at_least", [0.25, None], False),
        ("lift", 0.5, "at_most", [None, 0.6], True),  # at most 0.7
        ("lift", 0.4, "at_most", [None, 0.6], False),
        ("energy", 0.5, "at_least", [None, None], False),
        ("skill", 0.01, "at_least", [0.25, None], False),  # none is proposed
    ],
)
def test_weaker_limit_is_marked(metric, value, side, held, is_weaker) -> None:
    proposal = propose(record(metric, value, side, held=held), 0.1)
    assert proposal.is_weaker == is_weaker


def test_limit_over_parameters_is_weaker_than_the_strictest_of_them() -> None:
    records = [record("skill", 0.5, test=f"a.py::t[{held}]", held=[held, None]) for held in (0.3, 0.45)]
    (proposal,) = propose_over_parameters(records, 0.1)
    assert (proposal.agreed, proposal.is_weaker) == (Agreed(0.4), True)
