"""Scores of some inputs, from forward passes alone: no layer, no gradient."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, NamedTuple

import torch

from pytest_cam.engine.batches.coupling import are_apart, in_uncoupled_batches, require_uncoupled
from pytest_cam.engine.methods.resources import Make
from pytest_cam.engine.model.state import ModelState
from pytest_cam.engine.passes.forward import plainly
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scores.finite import not_finite, require_scores
from pytest_cam.engine.scores.ready_targets import ClassLogit, ReadyTarget
from pytest_cam.engine.scores.targets import Scores, Target
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import NonFiniteError, ProbabilityWarning, is_ours, warn

__tracebackhide__ = is_ours


_PERHAPS = (
    "the one score that the model returned for an image lies in [0, 1]; it is read as a logit, of which each value "
    "above 0 predicts class 1. If it is a probability, pass a function that calls the model and returns torch.logit of "
    "it"
)


class Version(NamedTuple):
    """What a model says of one version of an image.

    Attributes:
        explained: The score that is asked for.
        predicted: The class that this version is predicted as, or None where the scores compare no classes.
    """

    explained: Explained
    predicted: Explained | None


def scored(subject: Subject, inputs: torch.Tensor, targets: list[list[Target]]) -> list[Scores]:
    """Return the scores of a batch from one forward pass.

    Args:
        subject: The model.
        inputs: The batch (B, C, H, W), where the model is.
        targets: For each target one for each image.

    Raises:
        ModelError: The model normalises over the images of the batch.
        NonFiniteError: A score is not finite.
        CamError: As for `scores_of`.
    """
    require_uncoupled(subject.state, len(inputs))
    _, scores = _asked(subject, inputs, targets)
    subject.state.rewind()
    for each in scores:
        require_scores(each.explained)
    return scores


def versions(subject: Subject, inputs: torch.Tensor, target: Target, names: list[str]) -> list[Version]:
    """Return what a model says of several versions of one image, each as it is alone.

    A model of torch's own modules runs once, on a batch of them; in another one the images of a batch might change one
    another's scores, or it may take none, and each version runs by itself.

    Args:
        subject: The model, for a batch of one image.
        inputs: The versions, (n, C, H, W); the first is the image as it is.
        target: The score; None is the class that the first version is predicted as.
        names: What the versions are called in errors: "the image as it is".

    Raises:
        NonFiniteError: A score is not finite.
        CamError: As for `scores_of`.
    """
    # What a place in the image means, the first one tells.
    together = are_apart(subject.state) and not (isinstance(target, ReadyTarget) and not target.reads_row)
    parts = [inputs] if together else list(torch.split(inputs, 1))
    found: list[Version] = []
    for part in parts:
        some = _versions(subject, part, target, names[len(found) : len(found) + len(part)])
        # As the class's index, one of several labels would be one class among others from the second version on.
        if not found and not isinstance(target, ClassLogit):
            target = some[0].explained.for_versions(target)
        found += some
    return found


def _versions(subject: Subject, inputs: torch.Tensor, target: Target, names: list[str]) -> list[Version]:
    count = len(inputs)
    repeated = subject.for_copies_of(0, count)
    output, (scores,) = _asked(repeated, subject.placed(inputs), [[target] * count])
    own: list[Explained | None] = [None] * count
    _require_finite(scores, names)
    if scores.explained[0].predicted is not None:
        own = list(repeated.scores(output, [None] * count).explained)
        if target is None:
            scores = repeated.scores(output, [scores.explained[0].target] * count)
    subject.state.rewind()
    return [Version(*each) for each in zip(scores.explained, own, strict=True)]


def _asked(subject: Subject, inputs: torch.Tensor, targets: list[list[Target]]) -> tuple[Any, list[Scores]]:
    """Run the model without gradients; or once more, with one, where only its graph tells what a single score is."""
    with plainly(subject.state), torch.no_grad():
        output = subject.call(inputs)
    scores = [subject.scores(output, each) for each in targets]
    if not any(each.might_be_probabilities for each in scores):
        return output, scores
    if isinstance(subject.state, ModelState):
        subject.state.rewind()
        with suppress(RuntimeError), plainly(subject.state), torch.enable_grad():
            output = subject.call(inputs.detach().requires_grad_())
            scores = [subject.scores(output, each) for each in targets]
    if any(each.might_be_probabilities for each in scores):
        warn(_PERHAPS, ProbabilityWarning)
    return output, scores


def values(subject: Subject, target: Target, count: int, make: Make, what: str, input_bytes: int) -> torch.Tensor:
    """Return one score of many versions of one image, (count,), on the CPU, from forward passes in batches.

    Args:
        subject: The model, for a batch of one image.
        target: The class index or the callable that is asked for.
        count: How many versions there are.
        make: Returns those from start to stop, (stop - start, C, H, W).
        what: What they are, in the plural, for the progress bar and for errors.
        input_bytes: How many bytes one of them has.

    Raises:
        NonFiniteError: A score is not finite.
        CamError: As for `in_batches` and `values_of`.
    """

    def run(inputs: torch.Tensor) -> torch.Tensor:
        subject.state.rewind()
        with plainly(subject.state), torch.no_grad():
            return subject.values(subject.call(subject.placed(inputs), 0), target, len(inputs))

    found = in_uncoupled_batches(run, make, count, subject.state, what=what, input_bytes=input_bytes)
    if not bool(found.isfinite().all()):
        raise not_finite("scores", found, f"of {what}")
    return found


def _require_finite(scores: Scores, names: list[str]) -> None:
    for index, (item, name) in enumerate(zip(scores.explained, names, strict=True)):
        row = None if scores.logits is None else scores.logits[index].detach()
        # Minus infinity is how a class is ruled out; of the others the prediction is still the largest.
        if row is not None and bool((row.isnan() | (row == math.inf)).any()):
            raise not_finite("class scores", row, f"of {name}")
        if not math.isfinite(item.score):
            raise NonFiniteError(f"the score of {name} is {item.score}: there is nothing to compare")
