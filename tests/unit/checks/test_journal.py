"""What is kept of a test for the pictures of a plain assert that fails."""

import torch
from torch import nn

from pytest_cam import Attention, Box, attend
from pytest_cam.checks.journal import Journal

LEFT, RIGHT = Box(0, 0, 4, 8), Box(4, 0, 8, 8)


def looked(column: int = 0) -> Attention:
    """Return an attention whose map is lit in one column of eight."""
    image = torch.zeros(1, 8, 8)
    image[:, :, column] = 1.0
    model = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return attend(model, image, layer="0", method="gradcam")


def test_a_failure_has_what_was_measured_until_then_and_the_next_one_what_is_new() -> None:
    journal = Journal()
    one, other = journal.watch(looked(1)), journal.watch(looked(6))
    assert one.energy_in(LEFT) == 1
    first, second = journal.evidence()
    assert [(found.metric, found.value) for found in first.measurements] == [("energy", 1)]
    assert first.regions == (LEFT,)
    assert second.measurements == second.regions == ()

    assert journal.evidence() == []
    assert other.energy_in(RIGHT) == 1
    assert other.measure("lift", RIGHT).value == 2
    assert other.energy_in(LEFT) == 0
    (later,) = journal.evidence()
    assert (later.map == other.map).all()
    assert [(found.metric, found.value) for found in later.measurements] == [("energy", 1), ("lift", 2), ("energy", 0)]
    assert later.regions == (RIGHT, LEFT)


def test_of_many_maps_the_latest_are_kept_and_all_are_counted() -> None:
    journal = Journal()
    for number in range(25):
        journal.watch(looked(number % 8))
    assert journal.computed == 25
    assert [found.map[0].argmax() for found in journal.evidence()] == [number % 8 for number in range(5, 25)]
