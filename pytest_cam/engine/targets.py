"""The scalar that is explained, and the class scores in a model's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from pytest_cam.engine.class_names import name_of
from pytest_cam.engine.explained import Explained, Softmax, sigmoid
from pytest_cam.engine.outputs import Selector, class_scores, no_class_scores, own_part, selected
from pytest_cam.engine.ready_targets import BinaryLogit, ClassLogit, ReadyTarget, as_index, require_class
from pytest_cam.errors import TargetError, is_ours

__tracebackhide__ = is_ours

# How far from 1 the sum of probabilities may be: they may have been computed in 16 bits.
_ROUNDING = 5e-3

Target: TypeAlias = int | str | Callable[[Any], torch.Tensor] | None
Targets: TypeAlias = Target | Sequence[Target]


def one_each(targets: Targets, count: int) -> list[Target]:
    """Return one target for each image of a batch.

    Args:
        targets: One target for all, or a list or tuple of one each.
        count: The number of images.

    Raises:
        TargetError: A list has another length than the batch.
    """
    if isinstance(targets, torch.Tensor) and targets.ndim == 1:
        targets = targets.tolist()
    if isinstance(targets, Sequence) and not isinstance(targets, str):
        if len(targets) != count:
            raise TargetError(
                f"{len(targets)} targets for a batch of {count} images; accepted: one for all, or one each"
            )
        return list(targets)
    return [targets] * count


@dataclass(frozen=True, eq=False)
class Scores:
    """The explained scores of B images, with their graph.

    Attributes:
        explained: What they are, one each.
        logits: The class scores (B, K), or None where the output has none.
        called: The scores of the images whose target is a callable.
    """

    explained: list[Explained]
    logits: torch.Tensor | None
    called: list[torch.Tensor]

    @property
    def are_probabilities(self) -> bool:
        """Whether class scores are explained that look like probabilities."""
        return any(item.of_probabilities for item in self.explained)

    @property
    def classes(self) -> list[tuple[int, int, int]]:
        """(image, column, sign) of the scores that are class scores: of a single logit, class 0 is minus column 0."""
        chosen = [(index, item.target) for index, item in enumerate(self.explained) if item.target is not None]
        if self.logits is not None and self.logits.shape[1] == 1:
            return [(index, 0, 1 if target == 1 else -1) for index, target in chosen]
        return [(index, target, 1) for index, target in chosen]


def scores_of(
    output: Any,
    targets: list[Target],
    class_names: Sequence[str] | None,
    model_names: Sequence[str] | None = None,
    selector: Selector = None,
) -> Scores:
    """Pick the explained score of each image from the model's output.

    Args:
        output: What the model returned for B images. For a class index, a class name or None there must be class
            scores (B, K) in it, or one logit an image (B, 1) or (B,), of which class 1 is +z and class 0 is -z. A
            callable gets its image's own part of it, and returns a scalar tensor.
        targets: One target for each image.
        class_names: The K class names, for targets that are names and for messages; two for a single logit.
        model_names: The names that the model carries, used where `class_names` is None and their number is K.
        selector: Which part of the output is explained: see `selected`.

    Raises:
        OutputError: The output has no such part, or no class scores where a class is asked for.
        TargetError: A class index or name does not exist, or a callable returns no scalar tensor.
    """
    read = _read(selected(output, selector), targets, class_names, model_names)
    explained: list[Explained] = []
    called: list[torch.Tensor] = []
    for index, target in enumerate(targets):
        if _is_class(target):
            explained.append(_explained_class(read, index, target))
        else:
            called.append(_called(read, index, target))
            explained.append(_explained_call(read, index, target, float(called[-1].detach())))
    return Scores(explained, read.logits, called)


def values_of(
    output: Any,
    target: Target,
    count: int,
    selector: Selector = None,
    class_names: Sequence[str] | None = None,
    model_names: Sequence[str] | None = None,
) -> torch.Tensor:
    """Return one score for each of several inputs, without saying what they are.

    Args:
        output: What the model returned for the inputs.
        target: The class index or the callable that is explained.
        count: The number of inputs.
        selector: Which part of the output is explained: see `selected`.
        class_names: As for `scores_of`.
        model_names: As for `scores_of`.

    Returns:
        (count,), float32 or float64, on the CPU.

    Raises:
        OutputError, TargetError: As for `scores_of`.
    """
    if callable(target):
        return (
            torch.stack(scores_of(output, [target] * count, class_names, model_names, selector).called).detach().cpu()
        )
    found = selected(output, selector)
    logits = class_scores(found, count)
    if logits is None:
        raise no_class_scores(found, count)
    values = exact(logits.detach()).cpu()
    column = require_class(as_index(target, None), max(values.shape[1], 2))
    if values.shape[1] == 1:
        return values[:, 0] if column == 1 else -values[:, 0]
    return values[:, column]


def exact(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32 or, where it has more, in float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


@dataclass(frozen=True, eq=False)
class _Read:
    """A model's output for a batch of images, with what all targets ask of it."""

    output: Any
    batch: int
    logits: torch.Tensor | None
    values: npt.NDArray[np.floating[Any]] | None  # the logits in float32 or better
    predicted: list[int]
    names: Sequence[str] | None
    are_probabilities: bool

    @property
    def is_single(self) -> bool:
        """Whether there is one logit an image, which tells two classes apart."""
        return self.logits is not None and self.logits.shape[1] == 1

    @property
    def count(self) -> int:
        """The number of classes, or 0 where there are no class scores."""
        return 0 if self.logits is None else max(self.logits.shape[1], 2)

    @property
    def names_fit(self) -> bool:
        return self.names is None or len(self.names) == self.count

    def require_classes(self) -> npt.NDArray[np.floating[Any]]:
        if self.values is None:
            raise no_class_scores(self.output, self.batch)
        if self.names is not None and not self.names_fit:
            single = ", which a single logit tells apart" if self.is_single else ""
            raise TargetError(f"{len(self.names)} class names for a model with {self.count} classes{single}")
        return self.values

    def row(self, index: int, target: ReadyTarget) -> torch.Tensor:
        """Return the image's row (K,) of the logits, with its graph."""
        if target.compares_classes:
            self.require_classes()
        if self.logits is None:
            raise no_class_scores(self.output, self.batch)
        return self.logits[index]


def _read(
    output: Any, targets: list[Target], class_names: Sequence[str] | None, model_names: Sequence[str] | None
) -> _Read:
    logits = class_scores(output, len(targets))
    values = None if logits is None else exact(logits.detach()).cpu().numpy()
    predicted: list[int] = [-1] * len(targets)
    if values is not None:
        predicted = ((values[:, 0] > 0) * 1 if values.shape[1] == 1 else values.argmax(axis=1)).tolist()
    names = class_names
    # A model whose head was replaced still carries the names of its first life.
    if names is None and model_names is not None and (logits is None or len(model_names) == max(logits.shape[1], 2)):
        names = model_names
    suspected = values is not None and any(map(_compares_classes, targets)) and _look_like_probabilities(values)
    return _Read(output, len(targets), logits, values, predicted, names, suspected)


def _look_like_probabilities(values: npt.NDArray[np.floating[Any]]) -> bool:
    # Nearly all logits fail at a glance or by their least; written so that NaN fails, too.
    if (
        values.shape[1] == 1
        or any(not 0 <= value <= 1 + _ROUNDING for value in values[0, :8].tolist())
        or not np.minimum.reduce(values, axis=None) >= 0
        or any(abs(values.sum(axis=1) - 1) > _ROUNDING)
    ):
        return False
    # Nothing but zeros and a one is what a toy model's scores may be; a softmax that gives it has no gradient either.
    return bool(((values > 0) & (values < 1)).any())


def _is_class(target: Target) -> bool:
    return not callable(target) or isinstance(target, (ClassLogit, BinaryLogit))


def _compares_classes(target: Target) -> bool:
    if isinstance(target, ReadyTarget):
        return target.reads_row and target.compares_classes and not getattr(target, "multi_label", False)
    return not callable(target)


def _explained_class(read: _Read, index: int, target: Any) -> Explained:
    row = read.require_classes()[index]
    multi_label = False
    if isinstance(target, ClassLogit):
        target, multi_label = target.class_, target.multi_label
    elif isinstance(target, BinaryLogit):
        target = target.as_class(row)
    predicted = read.predicted[index]
    chosen = predicted if target is None else require_class(as_index(target, read.names), read.count)
    name = name_of(chosen, read.names)
    if multi_label and not read.is_single:
        value = float(row[chosen])
        return Explained(chosen, name, value, sigmoid(value), None, None, "one of several labels")
    probability: float | Softmax
    if read.is_single:
        value = float(row[0]) if chosen == 1 else -float(row[0])
        probability, note = sigmoid(value), "the single logit" if chosen == 1 else "minus the single logit"
    else:
        value, note = float(row[chosen]), ""
        probability = value if read.are_probabilities else Softmax(row.copy(), chosen)
    named = name if chosen == predicted else name_of(predicted, read.names)
    return Explained(chosen, name, value, probability, predicted, named, note, read.are_probabilities)


def _explained_call(read: _Read, index: int, target: Any, score: float) -> Explained:
    name = _name_of_callable(target, read.names)
    # A lambda on what has another number of columns than there are class names does not read class scores.
    compares = _compares_classes(target) if isinstance(target, ReadyTarget) else read.names_fit and not read.is_single
    if read.logits is None or not compares:
        return Explained(None, name, score, None, None, None)
    predicted = read.predicted[index]
    named = name_of(predicted, read.names)
    return Explained(None, name, score, None, predicted, named, of_probabilities=read.are_probabilities)


def _name_of_callable(target: Any, class_names: Sequence[str] | None) -> str:
    if isinstance(target, ReadyTarget):
        return target.named(class_names)
    return getattr(target, "__name__", None) or type(target).__name__


def _called(read: _Read, index: int, target: Any) -> torch.Tensor:
    name = _name_of_callable(target, read.names)
    try:
        if isinstance(target, ReadyTarget):
            part = read.row(index, target) if target.reads_row else own_part(read.output, index, read.batch)
            score = target.with_names(read.names)(part)
        else:
            score = target(own_part(read.output, index, read.batch))
    except RuntimeError as error:
        if "same device" not in str(error) and "expected device" not in str(error):
            raise
        raise TargetError(
            f"target {name} mixes devices: tensors that it compares with the model's output must be where that is "
            f"({error})"
        ) from error
    if not isinstance(score, torch.Tensor):
        raise TargetError(
            f"target {name} returned a {type(score).__name__}; accepted: a scalar tensor (without .item())"
        )
    if score.numel() != 1:
        raise TargetError(f"target {name} returned a tensor {tuple(score.shape)}; accepted: one scalar")
    return score.reshape(())
