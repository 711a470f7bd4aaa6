"""Whether the images of a batch have the scores that they have alone, with which of the model's other arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn

from pytest_cam.engine.batches.coupling import are_apart
from pytest_cam.engine.black_box import State
from pytest_cam.engine.model.state import ModelState
from pytest_cam.engine.passes.forward import plainly
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scores.targets import Target
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import CamError, ModelError, is_ours

__tracebackhide__ = is_ours

# By what share of the greatest score one may differ in a batch, where other kernels may run; and how coarse it may be.
_ROUNDING, _EPSILONS = 2e-3, 4
_PLAIN = {bool, int, float, str, type(None)}
# Models whose images were seen to be apart, and what was set of them then.
_SEEN_APART: WeakKeyDictionary[nn.Module, list[Any]] = WeakKeyDictionary()


def require_apart(subject: Subject, inputs: torch.Tensor, target: Target, explained: list[Explained]) -> None:
    """Check that the last image of a batch has the score that it has alone, once for each model and its settings.

    Args:
        subject: The model.
        inputs: The batch (B, C, H, W), where the model is.
        target: The last image's.
        explained: What was found for the batch.

    Raises:
        ModelError: It has another one.
    """
    last = inputs.shape[0] - 1
    if last == 0:
        return
    # What other arguments tell a model to do is not known: it is seen each time.
    remembers = isinstance(subject.model, nn.Module) and not subject.has_arguments
    settings = _settings(subject.state) if remembers else []
    if remembers and _SEEN_APART.get(subject.module) == settings:
        return
    alone = None
    if not are_apart(subject.state):
        alone = _alone(subject, inputs, last, target, explained)
    if alone is not None and not _is_same(alone, last, explained, subject.state):
        raise _not_apart(explained, last, alone, [])
    if remembers:
        _SEEN_APART[subject.module] = settings


def with_arguments_told(
    subject: Subject, inputs: torch.Tensor, targets: list[Target], explained: list[Explained], *, of_each: bool
) -> Subject:
    """Return the model as it is asked of single images, where some of its other arguments have the batch's length.

    One row of them is an image's own, unless that changes its score and all rows do not, as of the prompts that each
    image is held against.

    Args:
        subject: The model, for a batch of several images.
        inputs: The batch (B, C, H, W), where the model is.
        targets: One for each image.
        explained: What was found for the batch.
        of_each: Whether each image is looked at; else the last, where no method runs one alone.

    Raises:
        ModelError: An image has another score alone in either way.
    """
    images = range(len(inputs)) if of_each else [len(inputs) - 1]
    wrong: list[tuple[int, Explained | None]] = []

    def fits(asked: Subject) -> bool:
        is_known = True
        for image in images:
            try:
                alone = _alone(asked, inputs, image, targets[image], explained)
            except CamError:  # what is left of the output has no such score
                wrong.append((image, None))
                return False
            if alone is not None and not _is_same(alone, image, explained, subject.state):
                wrong.append((image, alone))
                return False
            is_known = is_known and alone is not None
        return is_known

    for each in (subject, replace(subject, is_shared=True)):
        if fits(each):
            return each
    if wrong:
        raise _not_apart(explained, *wrong[0], subject.cut_arguments())
    return subject


def with_row_told(subject: Subject, inputs: torch.Tensor, target: Target, explained: Explained) -> Subject:
    """Return the model as it is asked of versions of its one image, where some of its other arguments have one row.

    The row is the image's own and goes with each version, unless that changes the score or fails, and the row as it is
    does not: as the one prompt that all images are held against.

    Args:
        subject: The model, for a batch of one image.
        inputs: The batch (1, C, H, W), where the model is.
        target: The image's.
        explained: What was found for it.
    """
    shared = replace(subject, is_shared=True)
    fitting = (each for each in (subject, shared) if _is_same_twice(each, inputs, target, explained))
    return next(fitting, subject)


def _is_same_twice(subject: Subject, inputs: torch.Tensor, target: Target, explained: Explained) -> bool:
    """Return whether an image that runs beside a copy of itself has the score that it has alone, and so its copy."""
    target = explained.for_versions(target)
    try:
        with plainly(subject.state), torch.no_grad():
            output = subject.for_copies_of(0, 2).call(torch.cat([inputs, inputs]))
        found = subject.scores(output, [target, target]).explained
    except Exception:  # of a model for one image, or of a row that is not for two
        return False
    finally:
        subject.state.rewind()
    return all(_is_same(each, 0, [explained], subject.state) for each in found)


def _settings(state: State) -> list[Any]:
    """Return the plain values among the attributes of a model's modules, and their kinds, which may go with a test."""
    if not isinstance(state, ModelState) or state.is_known:
        return []
    return [
        (ref(type(module)), *((name, value) for name, value in vars(module).items() if type(value) in _PLAIN))
        for module in state.modules
    ]


def _is_same(alone: Explained, image: int, explained: list[Explained], state: State) -> bool:
    share = max(_ROUNDING, _EPSILONS * torch.finfo(state.dtype or torch.float32).eps)
    greatest = max(abs(each.score) for each in (*explained, alone))
    return abs(explained[image].score - alone.score) <= share * greatest


def _not_apart(explained: list[Explained], image: int, alone: Explained | None, cut: list[str]) -> ModelError:
    together = f"that of {explained[image].name} for image {image} of the batch is {explained[image].score:.4g}"
    score = "none" if alone is None else f"{alone.score:.4g}"
    if cut:
        return ModelError(
            f"the images of a batch change one another's scores, or the rows of {' and '.join(cut)}, as many as "
            f"images, are not one for each: {together}, and {score} when it runs alone with its own row (nor do all "
            "rows give each image its score). Accepted: one image a call, attend(model, img); arguments whose first "
            "axis is the batch; or a function that calls the model with those that all images share"
        )
    return ModelError(
        f"the images of a batch change one another's scores: {together}, and {score} when it runs alone. A layer that "
        "takes the first axis for something else, such as a recurrent one without batch_first=True, does that; "
        "accepted: one image a call, attend(model, img), or a model whose first axis is the batch"
    )


def _alone(
    subject: Subject, inputs: torch.Tensor, image: int, target: Target, explained: list[Explained]
) -> Explained | None:
    """Return the score of an image that runs alone; None where that would not be the same in any case."""
    target, subject = explained[image].for_versions(target), subject.for_copies_of(image, 1)
    try:
        with plainly(subject.state), torch.no_grad():
            output = subject.call(inputs[image : image + 1])
    except Exception:  # of a model for batches of one size
        return None
    draws = isinstance(subject.state, ModelState) and not subject.state.is_untouched()
    (found,) = subject.scores(output, [target]).explained
    subject.state.rewind()
    return None if draws else found
