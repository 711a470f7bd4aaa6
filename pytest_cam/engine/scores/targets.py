"""The scalar that is explained, and the class scores in a model's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch

from pytest_cam.engine.reading.answer import Answer
from pytest_cam.engine.reading.class_names import name_of
from pytest_cam.engine.reading.outputs import Rows, Selector, copied, grids_in, selected
from pytest_cam.engine.scores.explained import Explained, Softmax, sigmoid
from pytest_cam.engine.scores.ready_targets import BinaryLogit, ClassLogit, ReadyTarget, as_index, require_class
from pytest_cam.errors import TargetError, is_ours, kind_of

__tracebackhide__ = is_ours

Target: TypeAlias = int | str | Callable[[Any], torch.Tensor] | None
Targets: TypeAlias = Target | Sequence[Target]


def one_each(targets: Targets, count: int) -> list[Target]:
    """Return one target for each image of a batch.

    Args:
        targets: One target for all, or a list, tuple, tensor or array of one each.
        count: The number of images.

    Raises:
        TargetError: A list has another length than the batch.
    """
    if isinstance(targets, (torch.Tensor, np.ndarray)) and targets.ndim == 1:
        targets = targets.tolist()
    if isinstance(targets, Sequence) and not isinstance(targets, str):
        if len(targets) != count:
            raise TargetError(
                f"{len(targets)} targets for a batch of {count} images; accepted: one for all, or one each"
            )
        return list(targets)
    return [targets] * count


@dataclass(eq=False)
class Scores:
    """The explained scores of B images, with their graph.

    Attributes:
        explained: What they are, one each.
        logits: The class scores (B, K), or None where the output has none.
        called: The scores of the images whose target is a callable.
        grids: The tensors that these callables were given and that may have a grid, with their graph.
    """

    explained: list[Explained]
    logits: torch.Tensor | None
    called: list[torch.Tensor]
    grids: list[torch.Tensor]

    @property
    def might_be_probabilities(self) -> bool:
        """Whether single scores in [0, 1] tell two classes apart, and no graph shows if a sigmoid gave them."""
        return (
            self.logits is not None
            and self.logits.shape[1] == 1
            and self.logits.grad_fn is None
            and any(item.predicted is not None for item in self.explained)
            and bool(((self.logits >= 0) & (self.logits <= 1)).all())
        )

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
    rows: Rows | None = None,
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
        rows: What earlier passes have shown of the model's outputs.

    Raises:
        OutputError: The output has no such part, or no class scores where a class is asked for.
        TargetError: A class index or name does not exist, or a callable returns no scalar tensor.
    """
    answer = Answer.of(selected(output, selector), len(targets), rows or Rows(), class_names, model_names)
    suspected = any(map(_compares_classes, targets)) and answer.looks_like_probabilities()
    explained: list[Explained] = []
    called: list[torch.Tensor] = []
    grids: list[torch.Tensor] = []
    for index, target in enumerate(targets):
        if _is_class(target):
            explained.append(_explained_class(answer, index, target, suspected))
        else:
            part = _part(answer, index, target)
            try:
                score, fixed = _called(answer, part, target)
            except TargetError as error:
                if len(targets) == 1 or getattr(target, "reads_row", True):
                    raise
                # What one image shows another may not.
                raise TargetError(f"image {index} of the batch: {error}") from None
            called.append(score)
            grids += grids_in(part)
            what = _explained_call(answer, index, target, float(score.detach()), suspected)
            explained.append(replace(what, fixed=fixed))
    return Scores(explained, answer.logits, called, grids)


def values_of(
    output: Any,
    target: Target,
    count: int,
    selector: Selector,
    class_names: Sequence[str] | None,
    model_names: Sequence[str] | None,
    rows: Rows,
) -> torch.Tensor:
    """Return one score for each of several inputs, without saying what they are.

    Args:
        output: What the model returned for the inputs.
        target: The class index or the callable that is explained.
        count: The number of inputs.
        selector: Which part of the output is explained: see `selected`.
        class_names: As for `scores_of`.
        model_names: As for `scores_of`.
        rows: As for `scores_of`.

    Returns:
        (count,), float32 or float64, on the CPU.

    Raises:
        OutputError, TargetError: As for `scores_of`.
    """
    if callable(target):
        found = scores_of(output, [target] * count, class_names, model_names, selector, rows)
        return torch.stack(found.called).detach().cpu()
    values = torch.from_numpy(Answer.of(selected(output, selector), count, rows).require_classes())
    column = require_class(as_index(target, None), max(values.shape[1], 2))
    if values.shape[1] == 1:
        return values[:, 0] if column == 1 else -values[:, 0]
    return values[:, column]


def _is_class(target: Target) -> bool:
    return not callable(target) or type(target) in (ClassLogit, BinaryLogit)


def _compares_classes(target: Target) -> bool:
    if not callable(target):
        return True
    if not isinstance(target, ReadyTarget):
        return False
    return target.reads_row and target.compares_classes and not getattr(target, "multi_label", False)


def _explained_class(answer: Answer, index: int, target: Any, suspected: bool) -> Explained:
    row = answer.require_classes()[index]
    multi_label = False
    if callable(target):  # which is faster to ask
        if type(target) is ClassLogit:
            target, multi_label = target.class_, target.multi_label
        else:
            target = target.as_class(row)
    predicted = answer.predicted[index]
    chosen = predicted if target is None else require_class(as_index(target, answer.names), answer.count)
    name = name_of(chosen, answer.names)
    if multi_label and not answer.is_single:
        value = float(row[chosen])
        return Explained(chosen, name, value, sigmoid(value), None, None, "one of several labels")
    probability: float | Softmax
    if answer.is_single:
        value = float(row[0]) if chosen == 1 else -float(row[0])
        note = f"{'' if chosen == 1 else 'minus '}the single {'probability' if suspected else 'logit'}"
        probability = (value if chosen == 1 else 1 + value) if suspected else sigmoid(value)
    else:
        value, note = float(row[chosen]), ""
        probability = value if suspected else Softmax(row.copy(), chosen)
    named = name if chosen == predicted else name_of(predicted, answer.names)
    return Explained(chosen, name, value, probability, predicted, named, note, suspected)


def _explained_call(answer: Answer, index: int, target: Any, score: float, suspected: bool) -> Explained:
    name = _name_of_callable(target, answer.names)
    # A lambda on what has another number of columns than there are class names does not read class scores.
    compares = (
        _compares_classes(target) if isinstance(target, ReadyTarget) else answer.names_fit and not answer.is_single
    )
    if answer.logits is None or not compares:
        return Explained(None, name, score, None, None, None)
    predicted = answer.predicted[index]
    named = name_of(predicted, answer.names)
    return Explained(None, name, score, None, predicted, named, of_probabilities=suspected)


def _name_of_callable(target: Any, class_names: Sequence[str] | None) -> str:
    if isinstance(target, ReadyTarget):
        return target.named(class_names)
    return getattr(target, "__name__", None) or type(target).__name__


def _part(answer: Answer, index: int, target: Any) -> Any:
    """Return what a callable reads, with its graph: the image's own part of the output, or its class scores (K,)."""
    if not isinstance(target, ReadyTarget) or not target.reads_row:
        return answer.part(index)
    if target.compares_classes:
        answer.require_classes()
    return answer.require_scores()[index]


def _called(answer: Answer, part: Any, target: Any) -> tuple[torch.Tensor, ReadyTarget | None]:
    """Return the score of an image, and a ready-made target as it is asked of other versions of that image."""
    fixed: ReadyTarget | None = None
    name = _name_of_callable(target, answer.names)
    try:
        if isinstance(target, ReadyTarget):
            indexed = target.with_names(answer.names)
            score, fixed = indexed(part), indexed.for_versions(part)
        else:
            score = target(copied(part))  # other targets read the same output
    except RuntimeError as error:
        if "same device" not in str(error) and "expected device" not in str(error):
            raise
        raise TargetError(
            f"target {name} mixes devices: tensors that it compares with the model's output must be where that is "
            f"({error})"
        ) from error
    if not isinstance(score, torch.Tensor):
        raise TargetError(f"target {name} returned {kind_of(score)}; accepted: a scalar tensor (without .item())")
    if score.numel() != 1:
        raise TargetError(f"target {name} returned a tensor {tuple(score.shape)}; accepted: one scalar")
    if score.is_complex():
        raise TargetError(f"target {name} returned a complex scalar; accepted: a real one, such as its .abs()")
    return score.reshape(()), fixed
