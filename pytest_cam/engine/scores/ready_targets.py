"""Ready-made targets: each picks one scalar from an image's own part of the output, as a user's lambda would."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch

from pytest_cam.engine.reading.class_names import in_one_line, index_named, name_of
from pytest_cam.errors import TargetError, is_ours

if TYPE_CHECKING:
    from pytest_cam.images.geometry import Geometry

__tracebackhide__ = is_ours

_Self = TypeVar("_Self", bound="ReadyTarget")


class ReadyTarget(ABC):
    """A callable on the image's own part of the output that also says what it is called.

    Attributes:
        reads_row: Whether it is given the image's row of the one tensor (B, K) in the output, wherever that is, and
            not all of the image's own part.
        compares_classes: Whether that row holds class scores, of which the highest is the prediction.
        is_in_all_versions: Whether the score is there in other versions of the image, too.
    """

    reads_row: ClassVar[bool] = True
    compares_classes: ClassVar[bool] = True
    is_in_all_versions: ClassVar[bool] = True

    @abstractmethod
    def named(self, class_names: Sequence[str] | None) -> str:
        """Return what it is called in messages."""

    @abstractmethod
    def __call__(self, part: Any) -> torch.Tensor:
        """Return the score, a scalar tensor."""

    def with_names(self: _Self, class_names: Sequence[str] | None) -> _Self:
        """Return the target with class names replaced by indices."""
        return self

    def on_input(self: _Self, geometry: Geometry) -> _Self:
        """Return the target with what lies in pixels of the image carried to the model's input."""
        return self

    def for_versions(self: _Self, part: Any) -> _Self:
        """Return the target such that it means the same for other versions of the image.

        Args:
            part: The image's own part of the output.
        """
        return self

    def mirrored(self: _Self, width: int) -> _Self:
        """Return the target, on the input already, for the input mirrored from left to right, `width` pixels wide."""
        return self


@dataclass(frozen=True)
class ClassLogit(ReadyTarget):
    """The score of one class, as `target=3` and `target="dog"` are.

    Args:
        class_: The class index or name.
        multi_label: The model may see several classes at once: the probability in messages is then the sigmoid of
            the score, and no class is called the predicted one.
    """

    class_: int | str
    multi_label: bool = False

    def named(self, class_names: Sequence[str] | None) -> str:
        """Return what it is called in messages."""
        return f"logit of {label_of(self.class_, class_names)}"

    def with_names(self, class_names: Sequence[str] | None) -> ClassLogit:
        """Return the target with its class as an index."""
        return replace(self, class_=as_index(self.class_, class_names))

    def __call__(self, part: torch.Tensor) -> torch.Tensor:
        """Return the class's own value of the row (K,)."""
        return _pick(part, self.class_)


@dataclass(frozen=True)
class BinaryLogit(ReadyTarget):
    """The logit z of a model that has only one: +z, or -z for what speaks against, as `target=1` and `target=0`.

    Args:
        positive: True for +z, False for -z.
    """

    positive: bool = True

    def named(self, class_names: Sequence[str] | None) -> str:
        """Return what it is called in messages."""
        return "the single logit" if self.positive else "minus the single logit"

    def as_class(self, part: torch.Tensor) -> int:
        """Return 1 or 0, after checking that there is a single logit in the last dimension."""
        if part.ndim and part.shape[-1] != 1:
            raise TargetError(f"BinaryLogit is for a model with a single logit, and this one has {part.shape[-1]}")
        return int(self.positive)

    def __call__(self, part: torch.Tensor) -> torch.Tensor:
        """Return +z or -z."""
        return part.reshape(()) if self.as_class(part) else -part.reshape(())


@dataclass(frozen=True)
class ClassProbability(ReadyTarget):
    """The softmax probability of one class; the sigmoid of +z or -z where the model has a single logit.

    `ClassLogit` is better as a rule: where the model is sure, the probability is flat and its gradient fades, down
    to zero in float32; and it grows also with what speaks against the other classes.

    Args:
        class_: The class index or name.
    """

    class_: int | str

    def named(self, class_names: Sequence[str] | None) -> str:
        """Return what it is called in messages."""
        return f"probability of {label_of(self.class_, class_names)}"

    def with_names(self, class_names: Sequence[str] | None) -> ClassProbability:
        """Return the target with its class as an index."""
        return replace(self, class_=as_index(self.class_, class_names))

    def __call__(self, part: torch.Tensor) -> torch.Tensor:
        """Return the class's probability from the logits (K,)."""
        logits = torch.cat([-part / 2, part / 2]) if part.numel() == 1 else part
        return _pick(logits.softmax(dim=0), self.class_)


@dataclass(frozen=True)
class ContrastiveLogit(ReadyTarget):
    """The score of one class minus that of another, or minus the mean of several: why this and not that.

    Args:
        class_: The class index or name.
        versus: The other class, or a list of them.
    """

    class_: int | str
    versus: int | str | Sequence[int | str]

    def __post_init__(self) -> None:
        if not self._others:
            raise TargetError("versus is empty; accepted: a class, or a list of at least one")

    @property
    def _others(self) -> list[int | str]:
        single = isinstance(self.versus, str) or not isinstance(self.versus, Sequence)
        return [self.versus] if single else list(self.versus)  # type: ignore[arg-type,list-item]  # told apart above

    def named(self, class_names: Sequence[str] | None) -> str:
        """Return what it is called in messages."""
        others = ", ".join(label_of(other, class_names) for other in self._others)
        rest = f"the mean of {others}" if len(self._others) > 1 else others
        return f"logit of {label_of(self.class_, class_names)} minus {rest}"

    def with_names(self, class_names: Sequence[str] | None) -> ContrastiveLogit:
        """Return the target with its classes as indices."""
        others = [as_index(other, class_names) for other in self._others]
        return replace(self, class_=as_index(self.class_, class_names), versus=others)

    def __call__(self, part: torch.Tensor) -> torch.Tensor:
        """Return the difference, from the logits (K,)."""
        if part.numel() == 1:
            raise TargetError(
                "ContrastiveLogit compares the logits of classes, and this model has a single one; accepted: target=1 "
                "for what speaks for it, target=0 for what speaks against"
            )
        others = torch.stack([_pick(part, other) for other in self._others])
        return _pick(part, self.class_) - others.mean()


@dataclass(frozen=True, eq=False)
class Similarity(ReadyTarget):
    """The cosine similarity of an image's embedding (F,) to a reference: why these two are alike.

    Args:
        reference: The embedding to compare with, (F,) or (1, F), on any device.
    """

    compares_classes: ClassVar[bool] = False
    reference: Any

    def named(self, class_names: Sequence[str] | None) -> str:
        """Return what it is called in messages."""
        return "similarity to the reference"

    def __call__(self, part: torch.Tensor) -> torch.Tensor:
        """Return the cosine similarity, in [-1, 1]."""
        try:
            given = torch.as_tensor(self.reference).detach()
        except (TypeError, ValueError, RuntimeError):
            raise TargetError(
                f"the reference embedding is {self.reference!r}; accepted: a tensor or an array of numbers, "
                f"({part.numel()},)"
            ) from None
        if tuple(given.shape) not in ((part.numel(),), (1, part.numel())):
            raise TargetError(
                f"the reference embedding is {tuple(given.shape)}, and the model's is {tuple(part.shape)}; accepted: "
                f"({part.numel()},)"
            )
        embedding = part.reshape(-1)
        return torch.nn.functional.cosine_similarity(embedding, given.reshape(-1).to(embedding), dim=0)


def as_index(given: Any, class_names: Sequence[str] | None) -> int:
    """Return a class index from an index or a name.

    Raises:
        TargetError: It is neither, or there is no such class name.
    """
    if isinstance(given, str):
        return index_named(given, class_names)
    try:
        if isinstance(given, bool) or str(getattr(given, "dtype", None)) in ("bool", "torch.bool"):
            raise TypeError
        return operator.index(given)
    except TypeError:
        raise TargetError(
            f"target is {given!r}; accepted: a class index, a class name, a callable on the output, or None for "
            "the predicted class"
        ) from None


def require_class(index: int, count: int) -> int:
    """Return a class index if the model has that class.

    Raises:
        TargetError: It has not.
    """
    if not 0 <= index < count:
        raise TargetError(f"target {index} is out of range: the model has {count} classes, 0 to {count - 1}")
    return index


def _pick(row: torch.Tensor, class_: int | str) -> torch.Tensor:
    return row[require_class(as_index(class_, None), row.shape[0])]


def label_of(class_: int | str, class_names: Sequence[str] | None) -> str:
    """Return the name of a class that is given by index or name."""
    return in_one_line(class_) if isinstance(class_, str) else name_of(class_, class_names)
