"""What was explained: a score, with what a message says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt


def sigmoid(value: float) -> float:
    """Return the probability that a single logit stands for."""
    # Both forms are the same number; the exponent of this one cannot overflow.
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


class Softmax:
    """The softmax probability of one class, worked out when it is asked for.

    Args:
        row: The class scores (K,).
        chosen: The class index.
    """

    def __init__(self, row: npt.NDArray[np.floating[Any]], chosen: int) -> None:
        self._row, self._chosen = row, chosen

    @cached_property
    def value(self) -> float:
        """The probability; NaN where scores are not finite."""
        top = self._row.max()
        if not math.isfinite(top):
            return math.nan
        powers = np.exp(self._row - top)
        return float(powers[self._chosen] / powers.sum())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Softmax) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True)
class Explained:
    """What was explained for one image.

    Attributes:
        target: The class index, or None for a callable.
        name: The class name, the callable's name, or "class K".
        score: The explained score, raw (a logit, as a rule).
        likelihood: The probability of the class, or what works it out when it is asked for.
        predicted: The class with the highest score, or None where the scores are not known to compare classes.
        predicted_name: Its name.
        note: How the score is read where it is not simply that of one class among others.
        of_probabilities: Whether the class scores look like probabilities.
        fixed: The target as it is asked of other versions of the image, where it is not the one that was given.
    """

    target: int | None
    name: str
    score: float
    likelihood: float | Softmax | None
    predicted: int | None
    predicted_name: str | None
    note: str = ""
    of_probabilities: bool = False
    fixed: Any = field(default=None, repr=False, compare=False)

    @property
    def probability(self) -> float | None:
        """The class's: by softmax; by sigmoid for a single logit and for one of several labels. None for a callable."""
        return self.likelihood.value if isinstance(self.likelihood, Softmax) else self.likelihood

    def for_versions(self, given: Any) -> Any:
        """Return the target, as it was given, such that it means the same for other versions of the image."""
        if self.fixed is not None:
            return self.fixed
        return given if self.target is None else self.target

    @property
    def is_predicted(self) -> bool:
        """Whether the explained class is the one that the model predicts."""
        return self.target is not None and self.target == self.predicted
