"""Scores of versions of one image, from forward passes alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pytest_cam import SegmentationMask
from pytest_cam.engine.black_box import state_of
from pytest_cam.engine.scoring import values, versions
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import NonFiniteError


class Sums(nn.Module):
    """The logits of three classes are the sums of three channels."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[tuple[int, bool, bool]] = []

    def forward(self, inputs: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
        self.modes.append((len(inputs), self.training, torch.is_grad_enabled()))
        sums = inputs.sum(dim=(2, 3))
        return sums if scale is None else sums * scale


def inputs(*logits: list[float]) -> torch.Tensor:
    return torch.tensor(logits)[:, :, None, None]


def asked(model, batch, target=None, names=("one", "two"), **further):
    with state_of(model, []) as state:
        return versions(Subject(state.model, state, 1, None, further), batch, target, list(names))


def test_score_is_that_of_the_class_that_the_first_version_is_predicted_as():
    model = Sums().train()
    first, second = asked(model, inputs([0.0, 2.0, 1.0], [3.0, 1.0, 0.0]))

    assert [each.explained.target for each in (first, second)] == [1, 1]
    assert [each.explained.score for each in (first, second)] == [2.0, 1.0]
    assert [each.predicted.target for each in (first, second)] == [1, 0]
    assert second.predicted.probability == pytest.approx(math.exp(3) / (math.exp(3) + math.exp(1) + 1))
    assert model.modes == [(1, False, False)] * 2
    assert model.training


def test_versions_are_run_at_once_where_torchs_own_modules_keep_them_apart(run_on: list[torch.Tensor]):
    first, second = asked(nn.Sequential(nn.Flatten()), inputs([0.0, 2.0, 1.0], [3.0, 1.0, 0.0]))
    assert [len(batch) for batch in run_on] == [2]
    # The class is that of the first one there, too.
    assert [(each.explained.target, each.explained.score) for each in (first, second)] == [(1, 2.0), (1, 1.0)]
    assert [each.predicted.target for each in (first, second)] == [1, 0]


def test_pixels_are_those_where_the_first_version_is_predicted_as_the_class():
    # Class 1 is the arg-max in the left column, with 1 and 3; in the second version it is none at all.
    maps = torch.tensor([[[0.0, 5.0], [0.0, 5.0]], [[1.0, 2.0], [3.0, 4.0]]])
    batch = torch.stack([maps, maps * torch.tensor([1.0, -1.0])[:, None, None]])
    first, second = asked(nn.Sequential(nn.Identity()), batch, target=SegmentationMask(1))
    assert (first.explained.score, second.explained.score) == (2.0, -2.0)


def test_callable_has_a_score_and_the_prediction_beside_it():
    first, second = asked(Sums(), inputs([0.0, 2.0, 1.0], [3.0, 1.0, 0.0]), target=lambda row: row[2])
    assert [(each.explained.target, each.explained.score) for each in (first, second)] == [(None, 1.0), (None, 0.0)]
    assert [each.predicted.target for each in (first, second)] == [1, 0]


def test_other_arguments_are_repeated_for_each_version():
    scale = torch.tensor([[1.0, -1.0, 1.0]])
    first, _ = asked(Sums(), inputs([0.0, 2.0, 1.0], [3.0, 1.0, 0.0]), model_kwargs={"scale": scale})
    assert first.explained.target == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_version_that_is_not_finite_is_named(bad):
    with pytest.raises(NonFiniteError, match="class scores of two: 1 of 3 values"):
        asked(Sums(), inputs([0.0, 2.0, 1.0], [3.0, bad, 0.0]))


def test_class_that_is_ruled_out_by_minus_infinity_is_no_error():
    first, _ = asked(Sums(), inputs([-math.inf, 2.0, 1.0], [-math.inf, 1.0, 0.0]))
    assert first.explained.probability == pytest.approx(1 / (1 + math.exp(-1)))
    with pytest.raises(NonFiniteError, match="the score of one is -inf"):
        asked(Sums(), inputs([-math.inf, 2.0, 1.0], [-math.inf, 1.0, 0.0]), target=0)


def test_many_versions_are_run_in_batches():
    model = Sums()
    every = torch.arange(300.0)[:, None, None, None].expand(300, 3, 1, 1)
    with state_of(model, []) as state:
        subject = Subject(state.model, state, 1)
        found = values(subject, 1, 300, lambda start, stop: every[start:stop], "versions", 12)
        assert found.tolist() == list(range(300))
        assert all(not gradients for _, _, gradients in model.modes)
        assert len(model.modes) < 10
        with pytest.raises(NonFiniteError, match="scores of versions: 1 of 2 values"):
            values(subject, 1, 2, lambda *_: inputs([0.0, math.nan, 0.0], [0.0, 0.0, 0.0]), "versions", 12)
