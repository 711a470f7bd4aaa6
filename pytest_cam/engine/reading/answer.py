"""What a model answered to a batch of images, as all targets ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from pytest_cam.engine.reading.outputs import Rows, class_scores, no_class_scores, own_part
from pytest_cam.errors import TargetError, is_ours

__tracebackhide__ = is_ours

# What only passes a tensor on, in another shape or type, and what makes probabilities, as a graph names them.
_PASSING_ON = {
    *("ViewBackward0", "UnsafeViewBackward0", "SqueezeBackward0", "SqueezeBackward1", "UnsqueezeBackward0"),
    *("SelectBackward0", "SliceBackward0", "CloneBackward0", "ToCopyBackward0"),
}
_MAKING_PROBABILITIES = {"SigmoidBackward0", "SoftmaxBackward0"}

_EXACT = (torch.float32, torch.float64)
# How far from 1 the sum of probabilities may be: they may have been computed in 16 bits.
_ROUNDING = 5e-3


@dataclass(eq=False)
class Answer:
    """A model's output for a batch of B images, or the part of it that is explained.

    Attributes:
        output: The output.
        batch: B.
        rows: Which of its tensors have a row for each image.
        logits: The class scores (B, K), K = 1 for one logit an image, or None where there are none.
        values: These in float32 or better, on the CPU.
        predicted: The class that each image is predicted as; -1 where there are no class scores.
        names: The K class names, or None.
        of_sigmoid: Whether a graph shows that single scores are probabilities.
    """

    output: Any
    batch: int
    rows: Rows
    logits: torch.Tensor | None
    values: npt.NDArray[np.floating[Any]] | None
    predicted: list[int]
    names: Sequence[str] | None
    of_sigmoid: bool

    @classmethod
    def of(
        cls,
        output: Any,
        batch: int,
        rows: Rows,
        class_names: Sequence[str] | None = None,
        model_names: Sequence[str] | None = None,
    ) -> Answer:
        """Read an output.

        Args:
            output: The output, or the part of it that is explained.
            batch: For how many images it is.
            rows: What earlier passes have shown of the model's outputs; this one is noted, too.
            class_names: The K class names; two for a single logit.
            model_names: The names that the model carries, used where `class_names` is None and their number is K.
        """
        rows.see(output, batch)
        logits = class_scores(output, batch, rows)
        values = None if logits is None else exact(logits).numpy(force=True)
        predicted: list[int] = [-1] * batch
        of_sigmoid = False
        if logits is not None and values is not None:
            if values.shape[1] == 1:
                of_sigmoid = _comes_of_sigmoid(logits)
                predicted = [int(value > (0.5 if of_sigmoid else 0.0)) for value in values[:, 0].tolist()]
            else:
                predicted = values.argmax(axis=1).tolist()
        if class_names is None and model_names is not None:
            # A model whose head was replaced still carries the names of its first life.
            class_names = model_names if values is None or len(model_names) == max(values.shape[1], 2) else None
        return cls(output, batch, rows, logits, values, predicted, class_names, of_sigmoid)

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
        """Whether there is a class name for each class, or none at all."""
        return self.names is None or len(self.names) == self.count

    def require_scores(self) -> torch.Tensor:
        """Return the class scores (B, K), with their graph.

        Raises:
            OutputError: There are none.
        """
        if self.logits is None:
            raise no_class_scores(self.output, self.batch, self.rows)
        return self.logits

    def require_classes(self) -> npt.NDArray[np.floating[Any]]:
        """Return the class scores as numbers.

        Raises:
            OutputError: There are none.
            TargetError: There are class names for another number of classes.
        """
        self.require_scores()
        if self.names is not None and not self.names_fit:
            single = ", which a single logit tells apart" if self.is_single else ""
            raise TargetError(f"{len(self.names)} class names for a model with {self.count} classes{single}")
        return cast("npt.NDArray[np.floating[Any]]", self.values)  # which there are where there are scores

    def part(self, index: int) -> Any:
        """Return one image's own part: see `own_part`."""
        return own_part(self.output, index, self.batch, self.rows)

    def looks_like_probabilities(self) -> bool:
        """Return whether the class scores look as if a softmax had made them, or a graph shows it of single ones."""
        if self.is_single:
            return self.of_sigmoid
        values = self.values
        if values is None:
            return False
        # Nearly all logits fail at a glance or by their least; written so that NaN fails, too.
        first = values[0, :8].tolist()
        if (
            not (min(first) >= 0 and max(first) <= 1 + _ROUNDING)
            or not np.minimum.reduce(values, axis=None) >= 0
            or any(abs(values.sum(axis=1) - 1) > _ROUNDING)
        ):
            return False
        # Nothing but zeros and a one is what a toy model's scores may be; a softmax that gives it has no gradient.
        return bool(((values > 0) & (values < 1)).any())


def _comes_of_sigmoid(scores: torch.Tensor) -> bool:
    node = scores.grad_fn
    while node is not None and node.name() in _PASSING_ON:
        node = node.next_functions[0][0]
    return node is not None and node.name() in _MAKING_PROBABILITIES


def exact(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32 or, where it has more, in float64."""
    return tensor if tensor.dtype in _EXACT else tensor.float()
