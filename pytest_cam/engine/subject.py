"""A model with all that says how it is called, and how what it returns is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from pytest_cam.engine.black_box import Model, State
from pytest_cam.engine.further import Further
from pytest_cam.engine.model.arguments import tell_of_arguments
from pytest_cam.engine.model.requirements import require_accepted, without_values
from pytest_cam.engine.model.state import ModelState
from pytest_cam.engine.reading.class_names import as_names, names_of
from pytest_cam.engine.reading.layouts import Layout
from pytest_cam.engine.reading.nested import tensors_in
from pytest_cam.engine.reading.outputs import Rows, with_each
from pytest_cam.engine.reading.reader import Reader
from pytest_cam.engine.scores.ready_targets import ReadyTarget
from pytest_cam.engine.scores.targets import Scores, Target, scores_of, values_of
from pytest_cam.errors import CamError, ModelError, is_ours

__tracebackhide__ = is_ours

# What a module of `torch.export` says of an input that it was not exported for: today's torch, and older ones.
_REFUSALS_OF_EXPORTED = ("Guard failed", "Expected input at ")


@dataclass(eq=False)
class Subject:
    """A model with all that says how it is called, and how what it returns is read.

    Attributes:
        model: The model.
        state: Its state, entered by the caller, which puts it back.
        batch: How many images the model's other arguments are for.
        class_names: The names of the K classes, see `as_names`; None takes those that the model carries.
        further: See `Further`.
        rows: What its passes have shown of its outputs.
        is_shared: Whether every image goes with all rows of the other arguments, also where they are as many as images.
        settled: How the explained layer was read before; None where it was not.
    """

    model: Model
    state: State
    batch: int
    class_names: Any = None
    further: Further | None = None
    rows: Rows = field(default_factory=Rows)
    is_shared: bool = False
    settled: Layout | None = None

    @property
    def module(self) -> nn.Module:
        """The model, of which a layer is explained."""
        return self.model  # type: ignore[return-value]  # `state_of` lets no other model come to a layer

    @property
    def module_state(self) -> ModelState:
        """The state of the model, of which a layer is explained."""
        return self.state  # type: ignore[return-value]  # as above

    def said(self, name: str) -> Any:
        """Return one of the further keywords, or None."""
        return None if self.further is None else self.further.get(name)

    @property
    def has_arguments(self) -> bool:
        """Whether the model takes other arguments."""
        return bool(self.said("model_args") or self.said("model_kwargs"))

    def cut_arguments(self) -> list[str]:
        """Return the names of the other arguments of which a single image goes with its own row."""
        named = {f"model_args[{index}]": value for index, value in enumerate(self.said("model_args") or ())}
        named |= {f"model_kwargs[{name!r}]": value for name, value in (self.said("model_kwargs") or {}).items()}
        return [
            name for name, value in named.items() if any(_is_of_images(part, self.batch) for part in tensors_in(value))
        ]

    def call(self, inputs: torch.Tensor, image: int | None = None) -> Any:
        """Return what the model returns.

        Args:
            inputs: (n, C, H, W), which stay what they are.
            image: The image of the batch whose other arguments go with all rows; None where the rows are the batch.

        Raises:
            ModelError: The model does not take the input or the arguments that it is given, or lacks some.
        """
        args, kwargs = self.said("model_args") or (), self.said("model_kwargs") or {}
        # Copies, each time that the model runs.
        args = [self._other(value, image, len(inputs)) for value in args]
        kwargs = {name: self._other(value, image, len(inputs)) for name, value in kwargs.items()}
        try:
            return self.state.run(inputs, *args, **kwargs)
        except CamError as error:
            # Of a hook of ours: the frames of torch and of the model that lead there have no part in it.
            error.__traceback__ = None
            raise error
        except Exception as error:
            if isinstance(error, TypeError):
                require_accepted(self.model, inputs, args, kwargs, error)
            # What `torch.export` makes says so; where it asserts, it would look like a verdict in a test.
            if isinstance(error, (AssertionError, RuntimeError)) and str(error).startswith(_REFUSALS_OF_EXPORTED):
                raise ModelError(
                    f"the exported program takes no input of shape {tuple(inputs.shape)}: {error}. Accepted: what it "
                    "was exported for, or a program with a dynamic batch: torch.export.export(..., dynamic_shapes=...)"
                ) from error
            tell_of_arguments(error, self.model, inputs, args, kwargs)
            raise

    def for_copies_of(
        self, image: int, count: int, layer_call: int | None = None, settled: Layout | None = None
    ) -> Subject:
        """Return the same for a batch of copies of one image: the model's other arguments are repeated.

        Args:
            image: Which image of the batch.
            count: How many copies.
            layer_call: Which execution of the layer is explained; None for the last.
            settled: How the explained layer was read; None where it was not.
        """
        args, kwargs = self.said("model_args"), self.said("model_kwargs")
        further: Further = {**(self.further or {}), "layer_call": layer_call}
        further["model_args"] = [self._own(value, image, count) for value in args or ()]
        further["model_kwargs"] = self._own(dict(kwargs or {}), image, count)
        return replace(self, batch=count, further=further, settled=settled)

    def _other(self, value: Any, image: int | None, count: int) -> Any:
        """Return an argument of the model where the model is, in copies, since the model may overwrite it."""

        def copied(held: Any) -> Any:
            return held.detach().to(self.state.device, copy=True) if isinstance(held, torch.Tensor) else held

        placed = with_each(value, copied)
        return placed if image is None else self._own(placed, image, count)

    def _own(self, value: Any, image: int, count: int) -> Any:
        """Return an argument of the model for `count` inputs that stand for one image of the batch."""

        def repeated(held: Any) -> Any:
            if not isinstance(held, torch.Tensor) or not _is_of_images(held, self.batch):
                return held
            return held[image : image + 1].expand(count, *held.shape[1:]).clone()

        return value if self.is_shared else with_each(value, repeated)

    def scores(self, output: Any, targets: list[Target]) -> Scores:
        """Pick the explained score of each image from what the model returned: see `scores_of`."""
        names, known = self.names()
        with self._guarded(targets):
            return scores_of(output, targets, names, known, self.said("output"), self.rows)

    def values(self, output: Any, target: Target, count: int) -> torch.Tensor:
        """Return the score of one target for each of several inputs: see `values_of`."""
        with self._guarded([target]):
            return values_of(output, target, count, self.said("output"), *self.names(), self.rows)

    def is_read_by_users(self, targets: Iterable[Target]) -> bool:
        """Return whether functions of the user get tensors that a pass makes."""
        functions = (self.said("output"), self.said("reshape"), *targets)
        return any(callable(function) and not isinstance(function, ReadyTarget) for function in functions)

    def _guarded(self, targets: list[Target]) -> AbstractContextManager[object]:
        """Return a `with` block that puts back random numbers which functions of the user draw."""
        asks = callable(self.said("output")) or any(callable(target) for target in targets)
        return self.state.users_code() if asks else nullcontext()

    def names(self) -> tuple[Sequence[str] | None, Sequence[str] | None]:
        """Return the class names that were given and, where none were, those that the model carries: see `names_of`."""
        names = as_names(self.class_names)
        if names is not None or not isinstance(self.model, nn.Module):
            return names, None
        # To look within takes time, and a known model wraps none.
        return None, names_of(self.model, looks_within=not self.state.is_known)

    def reader(self, inputs: torch.Tensor) -> Reader:
        """Return how the outputs of the model's layers read for these inputs."""
        kept = self.module_state.tree.kept
        known = None if kept is None else kept.layouts
        return Reader(self.module, inputs, self.said("reshape"), known, self.settled)

    def placed(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return inputs where the model is, and in half precision where its weights are.

        Raises:
            ModelError: The model is on the meta device.
        """
        placed = inputs.detach()
        fits = placed.dtype == self.state.dtype and placed.device == self.state.device  # as a rule, and faster to ask
        if fits:
            return placed
        if self.state.device.type == "meta":
            raise without_values(self.module)
        return placed.to(self.state.device, self.state.dtype)


def _is_of_images(value: torch.Tensor, batch: int) -> bool:
    return value.ndim > 0 and value.shape[0] == batch
