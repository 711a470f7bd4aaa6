"""The scalar that is explained, and the class scores in a model's output."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from pytest_cam.errors import OutputError, TargetError, is_ours, nearest

__tracebackhide__ = is_ours

Target: TypeAlias = int | str | Callable[[Any], torch.Tensor] | None
Targets: TypeAlias = Target | Sequence[Target]


@dataclass(frozen=True)
class Explained:
    """What was explained for one image.

    Attributes:
        target: The class index, or None for a callable.
        name: The class name, the callable's name, or "class K".
        score: The explained score, raw (a logit, as a rule).
        probability: The softmax probability of the class, or None where there are not two classes to compare.
        predicted: The class with the highest score, or None where there are not two classes to compare.
        predicted_name: Its name.
    """

    target: int | None
    name: str
    score: float
    probability: float | None
    predicted: int | None
    predicted_name: str | None

    @property
    def is_predicted(self) -> bool:
        """Whether the explained class is the one that the model predicts."""
        return self.target is not None and self.target == self.predicted


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
    def classes(self) -> list[tuple[int, int]]:
        """(image, class) of the scores that are class scores."""
        return [(index, item.target) for index, item in enumerate(self.explained) if item.target is not None]


def scores_of(output: Any, targets: list[Target], class_names: Sequence[str] | None) -> Scores:
    """Pick the explained score of each image from the model's output.

    Args:
        output: What the model returned for B images. For a class index or None it must be a tensor (B, K) of
            class scores; a callable gets `output[b]`, its image's own part, and returns a scalar tensor.
        targets: One target for each image.
        class_names: The K class names, for targets that are names and for messages.

    Raises:
        OutputError: The output is not (B, K) and a class is asked for.
        TargetError: A class index or name does not exist, or a callable returns no scalar tensor.
    """
    logits = _class_scores(output, len(targets))
    if class_names is not None and logits is not None and len(class_names) != logits.shape[1]:
        raise TargetError(f"{len(class_names)} class names for a model with {logits.shape[1]} classes")
    values = None if logits is None else exact(logits.detach()).cpu()
    predicted = [-1] * len(targets) if values is None else values.argmax(dim=1).tolist()
    explained: list[Explained] = []
    called: list[torch.Tensor] = []
    for index, target in enumerate(targets):
        row = None if values is None else values[index]
        if callable(target):
            called.append(_called(target, output, index, len(targets)))
            score = float(called[-1].detach())
            explained.append(_explained(score, None, _name_of_callable(target), row, predicted[index], class_names))
        elif row is None:
            raise _no_class_scores(output, len(targets))
        else:
            chosen = _class_index(target, row.numel(), predicted[index], class_names)
            name = _class_name(chosen, class_names)
            explained.append(_explained(float(row[chosen]), chosen, name, row, predicted[index], class_names))
    return Scores(explained, logits, called)


def exact(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32 or, where it has more, in float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _class_scores(output: Any, batch: int) -> torch.Tensor | None:
    if isinstance(output, torch.Tensor) and output.ndim == 2 and output.shape[0] == batch:
        return output
    return None


def _no_class_scores(output: Any, batch: int) -> OutputError:
    return OutputError(
        f"the model returned {_described(output)}; accepted: class scores (B, K), here ({batch}, K). For other outputs "
        "pass target=<callable>, which gets the image's own part of the output and returns a scalar tensor"
    )


def _has_one_part_each(output: Any, batch: int) -> bool:
    if isinstance(output, torch.Tensor):
        return output.ndim > 0 and output.shape[0] == batch
    return isinstance(output, (list, tuple)) and len(output) == batch


def _described(output: Any) -> str:
    if isinstance(output, torch.Tensor):
        return f"a tensor {tuple(output.shape)}"
    return (
        f"a {type(output).__name__} of {len(output)}"
        if isinstance(output, (list, tuple))
        else f"a {type(output).__name__}"
    )


def _class_index(target: Any, count: int, predicted: int, class_names: Sequence[str] | None) -> int:
    if target is None:
        if count == 1:
            raise OutputError(
                "the model returns a single score (B, 1), whose arg-max says nothing; pass target=0 for the score "
                "itself, or target=lambda score: -score[0] for its opposite"
            )
        return predicted
    if isinstance(target, str):
        return _named_class(target, class_names)
    try:
        if isinstance(target, bool) or getattr(target, "dtype", None) == torch.bool:
            raise TypeError
        index = operator.index(target)
    except TypeError:
        raise TargetError(
            f"target is {target!r}; accepted: a class index, a class name, a callable on the output, or None for "
            "the predicted class"
        ) from None
    if not 0 <= index < count:
        raise TargetError(f"target {index} is out of range: the model has {count} classes, 0 to {count - 1}")
    return index


def _named_class(name: str, class_names: Sequence[str] | None) -> int:
    if class_names is None:
        raise TargetError(
            f"target {name!r} is a class name, and no class names are known: pass class_names=[...], or override the "
            "`cam_class_names` fixture"
        )
    names = list(class_names)
    if names.count(name) > 1:
        raise TargetError(f"target {name!r} names {names.count(name)} classes; pass the class index")
    if name not in names:
        raise TargetError(f"there is no class {name!r}. {nearest(name, names)}")
    return names.index(name)


def _class_name(index: int, class_names: Sequence[str] | None) -> str:
    return f"class {index}" if class_names is None else str(class_names[index])


def _name_of_callable(target: Callable[[Any], torch.Tensor]) -> str:
    return getattr(target, "__name__", None) or type(target).__name__


def _called(target: Callable[[Any], torch.Tensor], output: Any, index: int, batch: int) -> torch.Tensor:
    if not _has_one_part_each(output, batch):
        raise OutputError(
            f"the model returned {_described(output)}, in which each image's own part cannot be found; accepted: a "
            f"tensor (B, ...) or a list of B parts, here of length {batch}"
        )
    score = target(output[index])
    name = _name_of_callable(target)
    if not isinstance(score, torch.Tensor):
        raise TargetError(
            f"target {name} returned a {type(score).__name__}; accepted: a scalar tensor (without .item())"
        )
    if score.numel() != 1:
        raise TargetError(f"target {name} returned a tensor {tuple(score.shape)}; accepted: one scalar")
    return score.reshape(())


def _explained(
    score: float,
    chosen: int | None,
    name: str,
    logits: torch.Tensor | None,
    predicted: int,
    class_names: Sequence[str] | None,
) -> Explained:
    if logits is None or logits.numel() == 1:
        return Explained(chosen, name, score, None, None, None)
    probability = None if chosen is None else float(logits.softmax(dim=0)[chosen])
    return Explained(chosen, name, score, probability, predicted, _class_name(predicted, class_names))
