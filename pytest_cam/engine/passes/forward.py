"""One forward pass, with gradients from the taps onwards and none before."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils import checkpoint as checkpointing
from torch.utils.hooks import RemovableHandle

from pytest_cam.engine.batches.memory import is_shortage
from pytest_cam.engine.black_box import State
from pytest_cam.engine.model.hooks import HookManager
from pytest_cam.engine.model.state import ModelState
from pytest_cam.engine.passes.backward import has_graph, without_gradient
from pytest_cam.engine.passes.in_one_thread import pointwise_by_onednn
from pytest_cam.engine.passes.last_tap import LastTap
from pytest_cam.engine.passes.tap import Prelude, Taps
from pytest_cam.engine.scores.targets import Scores
from pytest_cam.errors import is_ours

__tracebackhide__ = is_ours

# How many values of weights may be laid out anew, for each pixel of the inputs: 4 million for an image of 224 x 224.
_MOST_WEIGHTS = 80

AnyTaps = TypeVar("AnyTaps", Taps, LastTap, Taps | LastTap)


@dataclass(eq=False)
class Run:
    """How a model is run, and how the explained scores are read from what it returns.

    Attributes:
        model: The model.
        state: Its state, entered by the caller, which puts it back.
        call: Runs the model on the inputs.
        read: From the model's output to the scores, once for each of several targets.
        differentiates: Whether gradients will be asked for.
    """

    model: nn.Module
    state: ModelState
    call: Callable[[], Any]
    read: Callable[[Any], list[Scores]]
    differentiates: bool = True

    def __call__(self, place: Callable[[HookManager, Prelude], AnyTaps]) -> tuple[AnyTaps, list[Scores]]:
        """Run the model so that its scores have a gradient at the taps, and parameters have none.

        Args:
            place: Places the taps by hooks.

        Raises:
            ModelError: The model runs without gradients, and not with them.
        """
        if not self.differentiates:
            return self._without_gradients(place)
        try:
            return self._with_gradients(place)
        except RuntimeError as error:
            if is_shortage(error) or not self._runs_plainly():
                raise
            raise without_gradient(error) from error

    def _without_gradients(self, place: Callable[[HookManager, Prelude], AnyTaps]) -> tuple[AnyTaps, list[Scores]]:
        """Run the model with a graph, which tells what became of a layer, or without where it stands none."""
        try:
            with torch.no_grad():
                return self._forward(place, nullcontext)
        except RuntimeError as error:
            if is_shortage(error):
                raise
        self.state.rewind()
        with torch.no_grad():
            return self._forward(place, nullcontext, with_graph=False)

    def _runs_plainly(self) -> bool:
        """Return whether the model runs, and its scores are found, where there are no gradients."""
        self.state.rewind()
        try:
            with plainly(self.state), torch.no_grad():
                self.read(self.call())
        except Exception:
            return False
        return True

    def _with_gradients(self, place: Callable[[HookManager, Prelude], AnyTaps]) -> tuple[AnyTaps, list[Scores]]:
        if not self.state.runs_users_code():
            try:
                return self._first_way(place, torch.inference_mode)
            except RuntimeError as error:
                # Something made before the layer is needed for a gradient after it.
                if "nference tensor" not in str(error):
                    raise
            self.state.rewind()
        return self._first_way(place, torch.no_grad)

    def _first_way(
        self, place: Callable[[HookManager, Prelude], AnyTaps], mode: Callable[[], AbstractContextManager[object]]
    ) -> tuple[AnyTaps, list[Scores]]:
        enabled = torch.is_grad_enabled()
        try:
            taps, scores = self._forward(place, mode)
            if all(map(has_graph, scores)):
                return taps, scores
            # Else a no_grad block inside the model switched gradients off again when it ended.
        except RuntimeError as error:
            # A view made before the layer, without gradients, may not be written to in place after it.
            if "no_grad mode" not in str(error):
                raise
        finally:
            torch.set_grad_enabled(enabled)  # which taps have changed
        self.state.rewind()
        with torch.enable_grad(), frozen(self.model):
            return self._forward(place, nullcontext)

    def only(self, watch: Callable[[HookManager], None]) -> None:
        """Run the model without gradients and without reading its output, as if it had not run.

        Args:
            watch: Places the hooks that see what there is to see.
        """
        with HookManager() as hooks, plainly(self.state), torch.no_grad():
            watch(hooks)
            self.call()
        self.state.rewind()

    def _forward(
        self,
        place: Callable[[HookManager, Prelude], AnyTaps],
        mode: Callable[[], AbstractContextManager[object]],
        *,
        with_graph: bool = True,
    ) -> tuple[AnyTaps, list[Scores]]:
        tree = self.state.tree
        with (
            HookManager() as hooks,
            plainly(self.state),
            pointwise_by_onednn(tree),
            Prelude(mode(), with_graph=with_graph, with_wide_layers=tree.has_wide_layers) as prelude,
        ):
            first = RemovableHandle.next_id
            taps = place(hooks, prelude)
            self.state.own_hooks_since(first)
            output = self.call()
        taps.seen()  # a layer that never ran is named before anything else is asked of the output
        # The model may have left gradients switched off, although its output has one.
        torch.set_grad_enabled(with_graph)
        return taps, self.read(output)


def laid_out(inputs: torch.Tensor, state: ModelState) -> torch.Tensor:
    """Return a batch of inputs as the convolutions of a CPU read it fastest: with the channels last, as a rule.

    One image takes a twelfth less time so in a network of depthwise convolutions, and many a quarter less in any; in
    float32, since in other types it may be twice as much. But the weights of other convolutions are laid out anew in
    each pass, which for one image takes longer than it saves where they are large, as those of a ResNet. A model that
    is not made of torch's own modules may refuse it, and gets what it is given.

    Args:
        inputs: (n, C, H, W).
        state: The model's state.
    """
    if inputs.ndim != 4 or inputs.dtype != torch.float32 or not inputs.is_cpu or state.runs_users_code():
        return inputs
    if state.weights_to_lay_out > _MOST_WEIGHTS * inputs.shape[0] * inputs.shape[2] * inputs.shape[3]:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)


def plainly(state: State) -> AbstractContextManager[object]:
    """Run what is compiled in eager mode, and what is checkpointed as it stands.

    Checkpointing runs its function a second time in the backward pass, where nothing that was placed for the forward
    pass is left, so that other operations would be differentiated than ran. The re-entrant kind runs it without a
    graph at first, and needs a backward pass through the whole of it.
    """
    return nullcontext() if state.is_known else _plainly()


@contextmanager
def _plainly() -> Iterator[None]:
    # The one kind has a class with `apply`, the other lets go of what its function saves within a `with` block.
    stand_ins = {"CheckpointFunction": _NoCheckpoint, "_checkpoint_hook": lambda frame: nullcontext()}
    kept = {name: getattr(checkpointing, name, None) for name in stand_ins}
    try:
        vars(checkpointing).update(stand_ins)
        with _uncompiled():
            yield
    finally:
        vars(checkpointing).update(kept)


def _uncompiled() -> AbstractContextManager[object]:
    # What torch.compile made of a model does not call hooks that were placed later. Nothing is compiled before
    # dynamo is imported, which takes seconds.
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance = getattr(torch.compiler, "set_stance", None)
    return _without_frames() if stance is None else stance("force_eager")


@contextmanager
def _without_frames() -> Iterator[None]:
    """Do what `torch.compiler.set_stance("force_eager")` does, which came with torch 2.6."""
    home: Any = sys.modules["torch._dynamo.eval_frame"]
    # What a compiled function calls to have frames compiled, or replaced by what was compiled before.
    name = "set_eval_frame" if hasattr(home, "set_eval_frame") else "_maybe_set_eval_frame"
    kept = getattr(home, name)
    try:
        setattr(home, name, lambda callback: None)
        yield
    finally:
        setattr(home, name, kept)


class _NoCheckpoint:
    """Stands for `torch.utils.checkpoint.CheckpointFunction`, and only calls the function."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """Return what the function returns."""
        return function(*args)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Let no parameter require a gradient within a `with` block."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
