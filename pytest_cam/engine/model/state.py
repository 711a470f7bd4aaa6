"""What a call may change in a model and in the generators of random numbers, and putting it back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from itertools import chain, repeat
from mimetypes import guess_type
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from pytest_cam.engine.model.arguments import arguments_of
from pytest_cam.engine.model.buffers import Buffers
from pytest_cam.engine.model.hooks import has_global_hooks
from pytest_cam.engine.model.module_tree import ModuleTree
from pytest_cam.engine.model.requirements import require_differentiable, require_python, require_values
from pytest_cam.errors import ModelError, is_ours, kind_of
from pytest_cam.randomness import RandomState

__tracebackhide__ = is_ours


class _Turns:
    """Whose turn it is: hooks, training flags and buffers belong to the model, and threads that explain it take turns.

    Attributes:
        lock: What the thread holds whose turn it is.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Let nobody have the turn: of a process that is forked, the thread that had it is not there in the child."""
        self.lock = threading.RLock()


_TURNS = _Turns()
if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(after_in_child=_TURNS.begin)
# Whether the fast path of transformers uses the parameters of modules without calling these, also of those with hooks.
_FAST_PATH_SKIPS_HOOKS = torch.__version__ < "2.5"


class ModelState:
    """Puts a model in eval mode inside a `with` block, and puts everything back after it.

    Kept and put back: each module's own training flag, every buffer (a forward pass may write to one even in
    eval mode), and the state of the random generators of torch (CPU and the model's device), NumPy and Python.
    Parameters, their `requires_grad` and their `.grad` are never written to. The block runs outside of
    `torch.inference_mode`, whose tensors no graph can use.

    A model made of nothing but torch's and torchvision's own modules, as they are, writes to no buffer in eval mode and
    draws no random numbers: of it only the flags are kept. (What a hook of the user does there is the user's.) Of
    another one the rest is noted when it, or other code of the user, first runs.

    Flags are set directly, not by `model.eval()`, which a model may override with a side effect.

    Args:
        model: The model.
        opens: Whether its layers or gradients will be used; else it may be one that runs outside of Python.

    Attributes:
        model: The model.
        modules: The model and all modules in it, each once.
        tree: These, with what is known of their kinds.
        device: Where the model's first parameter lies, or else its first buffer.
        dtype: The floating point type of that parameter, or None.
        is_known: Whether the model is made of torch's and torchvision's own modules, uncompiled.
        runs: How often it ran.
        flags: Each module's own training flag as it was; None where all were off.

    Raises:
        ModelError: The model is not a `torch.nn.Module` that runs in Python on tensors that autograd can use.
    """

    def __init__(self, model: nn.Module, *, opens: bool = True) -> None:
        if not isinstance(model, nn.Module):
            raise ModelError(
                f"model is {kind_of(model)}; accepted: a torch.nn.Module (an instance, not a class)"
                f"{'' if opens else ', a callable or a session of ONNX Runtime'}{_hint(model)}"
            )
        self.tree = tree = ModuleTree.of(model)
        self.modules = tree.modules
        parameter = _first(tree.each("_parameters"))
        if opens and not tree.is_known:
            require_python(model, self.modules)
        require_differentiable(self.modules, tree.lazy, parameter if opens else None)
        self.model = model
        self.is_known = tree.kept is not None
        first = parameter if parameter is not None else _first(tree.each("_buffers"))
        self.device = torch.device("cpu") if first is None else first.device
        self.dtype = parameter.dtype if parameter is not None and parameter.is_floating_point() else None

    def __enter__(self) -> ModelState:
        self._turn = _TURNS.lock
        self._turn.acquire()
        try:
            return self._entered()
        except BaseException:
            self._turn.release()
            raise

    def _entered(self) -> ModelState:
        # To enter a mode and leave it takes longer than to ask.
        self._ordinary_mode = torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
        self._ordinary_mode.__enter__()
        if _FAST_PATH_SKIPS_HOOKS:
            self._has_fast_path = torch.backends.mha.get_fastpath_enabled()
            torch.backends.mha.set_fastpath_enabled(False)
        self.flags = list(self.tree.each("training")) if any(self.tree.each("training")) else None
        self.runs = 0
        self._buffers: Buffers | None = None
        self._random: RandomState | None = None
        if self.flags is not None:
            self._set_eval()
        if self.is_known:
            self.tree.has_hooks()  # looked for while there are none of this package's own
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._put_back()
        finally:
            if self.flags is not None or not self.is_known:
                self.tree.set_training(self.flags or repeat(False))
            if _FAST_PATH_SKIPS_HOOKS:
                torch.backends.mha.set_fastpath_enabled(self._has_fast_path)
            self._ordinary_mode.__exit__(*error)
            self._turn.release()

    def has_hooks(self) -> bool:
        """Return whether somebody placed a hook on a module, or on all modules of the process."""
        return has_global_hooks() or self.tree.has_hooks()

    def runs_users_code(self) -> bool:
        """Return whether a pass runs anything else than torch's and torchvision's own modules: others, or hooks."""
        return not self.is_known or self.has_hooks()

    def is_untouched(self) -> bool:
        """Return whether no random number was drawn and no buffer written to since they were noted."""
        drawn = self._random is not None and not self._random.is_current()
        return not drawn and (self._buffers is None or self._buffers.are_as_before())

    @property
    def weights_to_lay_out(self) -> int:
        """How many values the weights hold that convolutions lay out anew for an input with its channels last."""
        return 0 if self.tree.kept is None else self.tree.kept.weights_to_lay_out

    def users_code(self) -> RandomState:
        """Return a `with` block for code of the user that is not the model's: a preprocess, a registered method.

        Random numbers that it draws are put back after the block, and buffers of the model when the state is left.
        """
        self._note()
        return RandomState(self.device)

    def _note(self) -> None:
        if not self.is_known and self._random is None:
            self._buffers, self._random = Buffers(self.modules), RandomState(self.device)

    def run(self, inputs: torch.Tensor, /, *args: Any, **kwargs: Any) -> Any:
        """Run the model such that the inputs stay what they are: on a copy, unless it is known to leave them alone.

        Args:
            inputs: (n, C, H, W).
            *args: What else the model takes.
            **kwargs: The same, by name.

        Raises:
            ModelError: The model has written to inputs that it left alone before, or what it reads holds no values.
        """
        self._note()
        kept = self.tree.kept
        # Not in each call of a small network, which has some hundred tensors: that would take a hundredth of its time.
        if not self.runs and (kept is None or not kept.spares_inputs):
            require_values(self.model, chain(self.tree.each("_parameters"), self.tree.each("_buffers")))
        self.runs += 1
        if kept is None or not self.is_known:
            given, named = arguments_of(self.model, inputs.clone(), args, kwargs)
            return self.model(*given, **named)
        if kept.hooked or args or kwargs:
            return self.model(inputs.clone(), *args, **kwargs)
        if not kept.spares_inputs:
            with torch.inference_mode(False):  # whose tensors do not count what is written to them
                copy = inputs.clone()
            output, kept.spares_inputs = self.model(copy), copy._version == 0
            return output
        version = inputs._version
        output = self.model(inputs)
        if inputs._version != version:
            kept.spares_inputs = False
            raise ModelError(
                "the model has written to its input, which it left alone before; was a module of it changed to work in "
                "place? The input that was passed is overwritten; the next call will run on a copy"
            )
        return output

    def own_hooks_since(self, first: int) -> None:
        """Count the hooks placed since torch's next was to be `first` as this package's own, gone when it is asked."""
        kept = self.tree.kept
        if kept is not None and kept.next_hook == first:
            kept.next_hook = RemovableHandle.next_id

    def rewind(self) -> None:
        """Put back what a forward pass may have changed, so that a second one starts where the first one did."""
        self._put_back()
        self._set_eval()

    def _put_back(self) -> None:
        if self._random is not None:
            self._random.put_back()
        if self._buffers is not None:
            self._buffers.put_back()

    def _set_eval(self) -> None:
        if any(self.tree.each("training")):
            self.tree.set_training(repeat(False))


def _hint(value: object) -> str:
    if type(value).__name__ == "ExportedProgram":
        return (
            ": an exported program has no layers to explain; pass the module that was exported, or, to occlusion and "
            "rise, what its method module() returns"
        )
    is_path = isinstance(value, (str, os.PathLike))
    is_photo = is_path and (guess_type(str(value))[0] or "").startswith("image/")
    if is_photo or hasattr(value, "__array__") or hasattr(value, "__array_interface__"):  # Pillow's have the latter
        return ". It looks like an image, which comes after the model: (model, img)"
    if isinstance(value, Mapping):
        return ". A state dict is loaded into a model first: model.load_state_dict(weights)"
    if is_path:
        return (
            f". A file is loaded first, by torch.jit.load({str(value)!r}) or onnxruntime.InferenceSession"
            f"({str(value)!r}); occlusion and rise explain what that returns"
        )
    return ""


def _first(tables: Iterable[Mapping[str, torch.Tensor | None]]) -> torch.Tensor | None:
    for table in filter(None, tables):
        for tensor in table.values():
            if tensor is not None:
                return tensor
    return None
