"""What a method may ask for about one image, one layer and one target, made when it is asked for."""

from __future__ import annotations

import itertools
import operator
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from pytest_cam.engine.batches.coupling import in_uncoupled_batches
from pytest_cam.engine.batches.memory import is_shortage
from pytest_cam.engine.batches.perturbing import RunBatch
from pytest_cam.engine.methods.resources import ClassGradients, Make, checked
from pytest_cam.engine.model.hooks import HookManager, works_in_place
from pytest_cam.engine.passes.forward import laid_out, plainly
from pytest_cam.engine.passes.trace import GRADIENTS, Trace, trace
from pytest_cam.engine.reading.carriers import with_tensor
from pytest_cam.engine.replaying.replay import Replay
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scores.finite import not_finite, of_batch
from pytest_cam.engine.scores.independent import STAYS, independent, independent_of_input, is_one, of_copies, of_zeros
from pytest_cam.engine.scores.targets import Target
from pytest_cam.engine.subject import Subject
from pytest_cam.engine.transformers.attention_gradients import attention_gradients
from pytest_cam.errors import IndependentScoreError, MethodError, is_ours, kind_of

__tracebackhide__ = is_ours


class Resources:
    """What a method may ask for about one image, by the names of `methods.RESOURCES`.

    Args:
        subject: The model.
        inputs: The batch (B, C, H, W).
        index: Which image of the batch.
        target: The target as it was given, with None replaced by the predicted class.
        explained: What the score is.
        found: The layer's part, or None for a method that takes no layer.
        logits: The class scores (B, K), or None where the output has none.
        seed: That of the generator.
        name: The method's, for the progress bar.
    """

    def __init__(
        self,
        subject: Subject,
        inputs: torch.Tensor,
        index: int,
        target: Target,
        explained: Explained,
        found: Trace | None,
        logits: torch.Tensor | None,
        seed: int,
        name: str,
    ) -> None:
        self._subject, self._index, self._found, self._name = subject, index, found, name
        self._resolved, self._target_name = target, explained.name
        self._of_image = of_batch(index, len(inputs))
        self.inputs = self._row(inputs)
        self.score = explained.score
        self.target = explained.target
        self._logits = logits
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def activations(self) -> torch.Tensor:
        """A, (1, C, h, w)."""
        return self._row(self._layer_part().activations)

    @property
    def gradients(self) -> torch.Tensor:
        """G, (1, C, h, w)."""
        return self._row(self._layer_part().gradients)

    @property
    def curvature(self) -> torch.Tensor:
        """The Hessian of the score in A times A, (1, C, h, w)."""
        return self._row(self._layer_part().curvature)

    @property
    def logits(self) -> torch.Tensor:
        """The class scores, (1, K)."""
        if self._logits is None:
            raise self._without_classes("class scores")
        return self._row(self._logits)

    def _without_classes(self, asked: str) -> MethodError:
        return MethodError(
            f"method {self._name!r} asks for {asked}, and the model's output has none; accepted: a model with class "
            "scores (B, K), or a method of activations and gradients"
        )

    def _row(self, batch: torch.Tensor | None) -> torch.Tensor:
        return cast("torch.Tensor", batch)[self._index : self._index + 1]  # what a method asks for is there

    def class_gradients(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the gradient of sum(weights * logits) in A, (1, C, h, w), for weights (1, K).

        Raises:
            MethodError: The model's output has no class scores, or the weights are not one for each.
        """
        found = self._layer_part()
        if found.logits is None:
            raise self._without_classes("the gradients of class scores")
        wanted = (1, found.logits.shape[1])
        shape = tuple(weights.shape) if isinstance(weights, torch.Tensor) else None
        if shape != wanted:
            given = kind_of(weights) if shape is None else f"a tensor {shape}"
            raise MethodError(
                f"method {self._name!r} calls class_gradients with {given}; accepted: weights {wanted}, one for each "
                "class"
            )
        all_weights = torch.zeros_like(found.logits)
        all_weights[self._index] = weights.to(all_weights)[0]
        of_batch = cast("ClassGradients", found.class_gradients)  # which the method asks for
        return self._row(of_batch(all_weights)).contiguous()

    @property
    def attention_gradients(self) -> list[torch.Tensor]:
        """The gradients at the attention of all blocks, each (heads, n, h, w)."""
        self._subject.state.rewind()
        alone = self._subject.for_copies_of(self._index, 1)
        return attention_gradients(alone, self.inputs, self._resolved, self._name)

    def score_inputs(self, count: int, make: Make) -> torch.Tensor:
        """Return the explained score of other inputs, (count,), on the CPU.

        Args:
            count: How many there are, at least 1.
            make: Returns those from start to stop, (stop - start, C, H, W), on the model's device.

        Raises:
            MethodError: The count is no number from 1, or it makes no tensor of so many; or the input is zero.
            IndependentScoreError: A layer is explained, and the score does not depend on the input.
            NonFiniteError: A score is not finite.
            CamError: As for `in_batches` and `values_of`.
        """
        count, make = self._counted("score_inputs", count), checked(make, self._name, "score_inputs")

        def score(inputs: torch.Tensor) -> torch.Tensor:
            return self._subject.values(self._subject.call(inputs, self._index), self._resolved, len(inputs))

        def made(start: int, stop: int) -> torch.Tensor:
            versions = make(start, stop)
            # What explains any callable has the same map for a module, to the bit.
            return versions if self._found is None else laid_out(versions, self._subject.module_state)

        scores = self._in_batches(score, count, made, "inputs")
        if self._found is not None and is_one(scores):  # without a layer such a map is zero
            if self._is_independent(score, self.inputs):
                raise independent_of_input(self._target_name, self._of_image)
            if not bool(self.inputs.any()):
                raise of_zeros(self._name, self._of_image)
        return scores

    def score_activations(self, count: int, make: Make) -> torch.Tensor:
        """Return the explained score for other outputs of the layer, (count,), on the CPU.

        Args:
            count: How many there are, at least 1.
            make: Returns those from start to stop, (stop - start, C, h, w), on the model's device.

        Raises:
            MethodError: The count is no number from 1, or it makes no tensor of so many.
            IndependentScoreError: The score does not depend on the layer.
            NonFiniteError: A score is not finite.
            CamError: As for `in_batches` and `values_of`.
        """
        count, make = self._counted("score_activations", count), checked(make, self._name, "score_activations")
        found, subject = self._layer_part(), self._subject
        output = self._row(found.output)
        module = subject.module if found.layer == "(the model)" else subject.module.get_submodule(found.layer)
        replay = self._replay(module) if found.call == found.calls else None
        run = partial(self._replaced, module, found.call) if replay is None else replay

        def score(cells: torch.Tensor) -> torch.Tensor:
            changed = found.layout.off_grid(cells, output).to(output)
            return subject.values(run(changed), self._resolved, len(cells))

        scores = self._in_batches(score, count, make, f"outputs of layer {found.layer}")
        if is_one(scores) and self._is_independent(score, self.activations):
            raise independent(found.layer, found.layout, self._target_name, self._of_image, STAYS)
        return scores

    def _is_independent(self, score: RunBatch, own: torch.Tensor) -> bool:
        """Return whether a score is the same to the bit for very different values in place of the image's own."""
        own = own if bool(own.any()) else torch.ones_like(own)
        others = torch.cat([own, torch.zeros_like(own), own.neg()])
        try:
            values = self._scores(score, len(others), lambda start, stop: others[start:stop])
        except Exception:  # what the model does not take is no version that anybody asked for
            return False
        return bool((values == values[0]).all())

    def _replay(self, module: nn.Module) -> Replay | None:
        """Return what runs the model from a layer on; None where there is no memory for what it keeps."""
        subject = self._subject
        subject.state.rewind()
        try:
            with plainly(subject.state):
                return Replay(
                    subject.module,
                    module,
                    lambda inputs: subject.call(inputs, self._index),
                    self.inputs,
                    pick=subject.reader(self.inputs).find,
                )
        except Exception as error:
            if not is_shortage(error):
                raise
            return None

    def _replaced(self, module: nn.Module, call: int, changed: torch.Tensor) -> Any:
        """Return what the model returns where one execution of a layer that is not its last returns something else."""
        inputs = self.inputs.expand(len(changed), *self.inputs.shape[1:])
        reader, executions = self._subject.reader(inputs), itertools.count(1)

        def replace(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            tensor = reader.find(output)
            if next(executions) != call or tensor is None:
                return None
            if works_in_place(module, args, tensor):
                return tensor.copy_(changed)
            return with_tensor(output, tensor, changed.clone())

        with HookManager() as hooks:
            hooks.add(module, replace)
            return self._subject.call(inputs, self._index)

    def trace_inputs(self, count: int, make: Make) -> tuple[torch.Tensor, torch.Tensor]:
        """Return activations and gradients for other inputs, each (count, C, h, w), on the CPU.

        Args:
            count: How many there are, at least 1.
            make: Returns those from start to stop, (stop - start, C, H, W), on the model's device.

        Raises:
            MethodError: The count is no number from 1, or it makes no tensor of so many.
        """
        count, make = self._counted("trace_inputs", count), checked(make, self._name, "trace_inputs")
        found, subject = self._layer_part(), self._subject

        def both(inputs: torch.Tensor) -> torch.Tensor:
            subject.state.rewind()
            repeated = subject.for_copies_of(self._index, len(inputs), found.call, found.layout)
            try:
                (traces,) = trace(repeated, inputs, found.layer, [[self._resolved] * len(inputs)], GRADIENTS)
            except IndependentScoreError as error:  # which names a version as an image of a batch
                raise of_copies(error, found.layer, found.layout, self._target_name, self._of_image) from None
            gradients = cast("torch.Tensor", traces[0].gradients)  # which GRADIENTS asks for
            return torch.stack([traces[0].activations, gradients], dim=1)

        stacked = self._batched(both, count, make)
        return stacked[:, 0], stacked[:, 1]

    def _layer_part(self) -> Trace:
        return cast("Trace", self._found)  # what asks for a layer's part takes a layer

    def _counted(self, verb: str, count: Any) -> int:
        try:
            number = operator.index(count)
        except TypeError:
            number = 0
        if number < 1:
            raise MethodError(
                f"method {self._name!r} calls {verb} with a count of {count!r}; accepted: a whole number from 1"
            )
        return number

    def _in_batches(self, score: RunBatch, count: int, make: Make, changed: str) -> torch.Tensor:
        scores = self._scores(score, count, make)
        if not bool(scores.isfinite().all()):
            raise not_finite(
                "scores",
                scores,
                f"of target {self._target_name} for the changed {changed} of {self._name}{self._of_image}",
            )
        return scores

    def _scores(self, score: RunBatch, count: int, make: Make) -> torch.Tensor:
        state = self._subject.state
        without_users = not state.runs_users_code()

        def run(batch: torch.Tensor) -> torch.Tensor:
            state.rewind()
            # No graph is needed, and inference mode is the cheaper way without; what is the user's may not stand it.
            with plainly(state), torch.inference_mode() if without_users else torch.no_grad():
                return score(batch)

        return self._batched(run, count, make)

    def _batched(self, run: RunBatch, count: int, make: Make) -> torch.Tensor:
        what, state = f"inputs of {self._name}", self._subject.state
        return in_uncoupled_batches(run, make, count, state, what=what, input_bytes=self.inputs[0].nbytes)
