"""The part of a model after one layer, run alone on many versions of that layer's output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from pytest_cam.engine.batches.memory import is_shortage
from pytest_cam.engine.layers import never_ran
from pytest_cam.engine.model.buffers import Buffers
from pytest_cam.engine.model.hooks import HookManager, works_in_place
from pytest_cam.engine.reading.nested import first_tensor, holds, mapped, other_kind_in, tensors_in
from pytest_cam.engine.replaying.lending import Lender
from pytest_cam.engine.replaying.recording import Recorder, Step, copied, each_forward
from pytest_cam.engine.replaying.soundness import agree, has_rows, hooked, is_same
from pytest_cam.errors import LayerError, is_ours, kind_of
from pytest_cam.randomness import RandomState

__tracebackhide__ = is_ours

Pick = Callable[[Any], torch.Tensor | None]


class Replay:
    """Runs a model as if one layer had returned something else, without running what comes before the layer.

    One pass records what modules return that end before the layer's last execution begins. When it is replayed, these
    return that again, the layer returns what it is given, without running, and what comes after runs as it is.

    This is done only where it is shown to be right, when the object is made: the layer's own output, replayed, must
    give what the recorded pass gave, and another one what the whole model gives with it, both to the bit; and twice in
    a batch must give both rows but for rounding. Else, and for models that draw random numbers, change their buffers or
    carry hooks, every pass is of the whole model, with the layer's output replaced.

    A model that chooses by values what it runs chooses once for a batch, replayed or not.

    Args:
        model: The model, in eval mode; the caller puts its state back.
        layer: The layer, a module of the model.
        call: Runs the model on inputs (n, C, H, W), which it need not copy.
        inputs: The input (1, C, H, W).
        pick: From what the layer returns to the tensor in it that is replaced; None takes the output itself or its
            first tensor.

    Attributes:
        is_sound: Whether the model is replayed. Turns False where a replay runs modules in another order than recorded.
        why: Why not, in words, or "".

    Raises:
        LayerError: The layer never ran, returns no tensor, or not one of one image.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: nn.Module,
        call: Callable[[torch.Tensor], Any],
        inputs: torch.Tensor,
        pick: Pick | None = None,
    ) -> None:
        self._modules = list(dict.fromkeys([*model.modules(), layer]))
        self._names = {module: name for name, module in model.named_modules()}
        self._layer, self._call, self._pick = layer, call, pick or first_tensor
        self._lender = Lender()
        self._overwrites_changed = True
        self.is_sound, self.why = False, ""
        with _plainly():
            self._inputs = copied(inputs)
            self._steps, expected, self.why = self._recorded(model)
            self._own = self._picked()
            self.why = self.why or self._why_not(expected)
        self.is_sound = not self.why

    def __call__(self, changed: torch.Tensor) -> Any:
        """Return the model's output for n versions of the layer's output.

        Args:
            changed: The versions, (n, ...), in the layer's own shape. They are left as they are.

        Returns:
            What the model returns. Its tensors may share memory with one another; they are to be read, not written to.

        Raises:
            LayerError: The versions have another shape than the layer's output.
        """
        if changed.ndim == 0 or changed.shape[1:] != self._own.shape[1:] or not len(changed):
            raise LayerError(
                f"changed outputs {tuple(changed.shape)} for the layer {self._name(self._layer)}; accepted: "
                f"(n, {', '.join(map(str, self._own.shape[1:]))}), n at least 1"
            )
        with _plainly():
            if self.is_sound:
                try:
                    return self._replayed(changed)
                except Exception as error:
                    if is_shortage(error):
                        raise
                    self.is_sound, self.why = False, _said(error)
            return self._whole(changed)

    def _recorded(self, model: nn.Module) -> tuple[list[Step], list[torch.Tensor], str]:
        """Run the model, and return what ran, the tensors that it returned, and why it cannot be replayed, or ""."""
        recorder = Recorder(self._layer)
        buffers, random = Buffers(self._modules), RandomState(self._inputs.device)
        with each_forward(self._modules, recorder):
            output = self._call(self._inputs.clone())
        steps, self._executions = recorder.steps(), recorder.executions
        why = hooked(model)
        if not buffers.are_as_before():
            why = why or "the model changes its buffers"
        if not random.is_current():
            why = why or "the model draws random numbers"
        for step in steps:
            kind = other_kind_in(step.kept)
            if kind:
                why = why or f"{self._name(step.module)} returns a {kind}, which cannot be kept"
        return steps, [copied(tensor) for tensor in tensors_in(output)], why

    def _picked(self) -> torch.Tensor:
        """Return the tensor that is replaced in what the layer returned."""
        name = self._name(self._layer)
        output = next((step.kept for step in self._steps if step.is_layer), None)
        if not self._executions:
            raise never_ran(f"layer {name}")
        tensor = self._pick(output)
        if tensor is None or not holds(output, tensor):
            raise LayerError(
                f"the layer {name} returns {kind_of(output)} in which no tensor is found to replace; accepted: "
                "a tensor, or a tuple, list or dict with one"
            )
        if tensor.shape[:1] != (1,):
            raise LayerError(
                f"the layer {name} has an output {tuple(tensor.shape)} for one image, so how several would lie in it "
                "is not known; accepted: (1, ...)"
            )
        return tensor

    def _why_not(self, expected: list[torch.Tensor]) -> str:
        """Return why replaying what was recorded does not give the tensors that the model returned, or ""."""
        if not expected:
            return "the model returns no tensors to compare"
        try:
            if not agree(is_same, self._replayed(self._own, thoroughly=True), expected):
                return "replaying the layer's own output does not give the model's output to the bit"
            if not agree(has_rows, self._replayed(self._own.expand(2, *self._own.shape[1:]).clone()), expected):
                return "replaying the layer's own output twice in a batch does not give the model's output twice"
            # Where all that the model returns is zero, say, the layer's own output shows nothing.
            other = self._own.flip(-1).neg()
            if not agree(is_same, self._replayed(other), list(tensors_in(self._whole(other)))):
                return "replaying another output does not give to the bit what the whole model gives with it"
        except Exception as error:
            return _said(error)  # of a shortage, too: the whole model may fit where two rows of its part do not
        return ""

    def _replayed(self, changed: torch.Tensor, *, thoroughly: bool = False) -> Any:
        """Return the output of the part after the layer.

        Args:
            changed: The layer's output, (n, ...).
            thoroughly: Look closely at what the model writes to, and remember it.
        """
        try:
            output = self._once(changed, thoroughly)
            is_intact = not self._lender.notice_writes(thoroughly=thoroughly)
        except RuntimeError as error:
            # What shares memory can neither be written to in place nor seen under any other shape.
            if is_shortage(error) or self._lender.copies_all:
                raise
            self._lender.copies_all, is_intact = True, False
        return output if is_intact else self._replayed(changed, thoroughly=thoroughly)

    def _once(self, changed: torch.Tensor, thoroughly: bool) -> Any:
        number = len(changed)
        # The model may not be able to use versions that share memory, as an expanded tensor's do.
        is_usable = not (self._overwrites_changed or changed.is_inference() or 0 in changed.stride())
        given = changed.detach() if is_usable else changed.clone()
        version = given._version
        steps = iter(self._steps)
        diverged: list[_DivergedError] = []

        def forward(module: nn.Module, own: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            step = next(steps, None)
            if step is None or step.module is not module:
                diverged.append(self._diverged(step, module))
                raise diverged[0]
            if step.is_layer or step.is_kept:
                return mapped(step.kept, lambda kept: given if kept is self._own else self._lender.lend(kept, number))
            return own(*args, **kwargs)

        with each_forward(self._modules, forward):
            output = self._call(self._lender.lend(self._inputs, number))
        # The model may have caught the error, or ended early.
        left = next(steps, None)
        if diverged or left is not None:
            raise diverged[0] if diverged else self._diverged(left, None)
        if thoroughly:
            self._overwrites_changed = given._version != version or not is_same(given, changed)
        return output

    def _whole(self, changed: torch.Tensor) -> Any:
        """Return the output of the whole model with the layer's last output replaced."""
        executions = 0

        def replace(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            nonlocal executions
            executions += 1
            if executions != self._executions:
                return None
            old, given = self._pick(output), changed.clone()
            if works_in_place(module, args, old):
                return output.copy_(given)
            return mapped(output, lambda tensor: given if tensor is old else tensor)

        with HookManager() as hooks:
            hooks.add(self._layer, replace)
            output = self._call(self._inputs.expand(len(changed), *self._inputs.shape[1:]).clone())
        if executions < self._executions:
            raise LayerError(
                f"the layer {self._name(self._layer)} ran {executions} times in a batch of {len(changed)}, and "
                f"{self._executions} times in a batch of one"
            )
        return output

    def _diverged(self, expected: Step | None, module: nn.Module | None) -> _DivergedError:
        there = "the end" if expected is None else self._name(expected.module)
        here = "the end" if module is None else self._name(module)
        return _DivergedError(f"modules run in another order for changed outputs: {here} instead of {there}")

    def _name(self, module: nn.Module) -> str:
        return repr(self._names.get(module) or type(module).__name__)


class _DivergedError(Exception):
    """Modules run in another order than was recorded."""


def _said(error: Exception) -> str:
    if isinstance(error, _DivergedError):
        return str(error)
    return f"a replay raised {type(error).__name__}: {error}"


@contextmanager
def _plainly() -> Iterator[None]:
    """Run without gradients, on tensors that know when they are written to, and calling every module."""
    # The fast path of transformers uses the parameters of modules without calling these, unless they have hooks.
    is_fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)
