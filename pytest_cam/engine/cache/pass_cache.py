"""What passes found, kept within a test session: several assertions on one image cost one pass.

An answer comes from here only for the same model in the same state, the same input to the bit, the same layer and the
same target, and only in sessions of pytest: see `running.Sharing`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import NoneType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils import _python_dispatch

from pytest_cam.engine.cache.fingerprint import Fingerprint
from pytest_cam.engine.cache.shelf import Content, Entry, Shelf
from pytest_cam.engine.layers import AUTO, LayerLike, name_of
from pytest_cam.engine.model.alive import leads_to
from pytest_cam.engine.model.hooks import function_mode
from pytest_cam.engine.model.state import ModelState
from pytest_cam.engine.scores.ready_targets import BinaryLogit, ClassLogit, ClassProbability, ContrastiveLogit
from pytest_cam.engine.scores.targets import Target
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import is_ours
from pytest_cam.running import SHARING

__tracebackhide__ = is_ours

# How much is kept in all; what was not used for longest goes first. One layer and target of ResNet-50 take 1.4 MB at
# the last layer: the input, activations and gradients.
MOST_BYTES = 256 * 2**20

# In how many states in a row a pass may change a model that is asked for: its first pass may fill a cache of its own,
# while one that keeps something of each pass never is in the same state again.
_MOST_CHANGED = 3

# Targets that mean the same when they are equal; what any other callable reads may have changed, a subclass's too.
_FIXED_TARGETS = (ClassLogit, ClassProbability, BinaryLogit, ContrastiveLogit)
# The innermost dispatch mode that is entered, or None.
_dispatch_mode: Callable[[], Any] = _python_dispatch._get_current_dispatch_mode


# None for a model that cannot be followed, or changes with each pass.
_SHELVES: WeakKeyDictionary[nn.Module, Shelf | None] = WeakKeyDictionary()


class PassCache:
    """What is kept for one input of a model; nothing where that could be wrong.

    Args:
        subject: The model, its state entered.
        inputs: The batch; nothing is kept for more than one image.

    Attributes:
        is_on: Whether anything is kept or found.
    """

    def __init__(self, subject: Subject, inputs: torch.Tensor) -> None:
        self._subject = subject
        self._entry: Entry | None = None
        self._runs = 0
        shareable = SHARING.is_on and inputs.shape[0] == 1 and _is_shareable(subject)
        shelf = _shelf_of(subject.module, subject.module_state) if shareable else None
        self.is_on = shelf is not None
        if shelf is not None:
            self._shelf = shelf
            said = [_plain(subject.said(name)) for name in ("output", "layer_call")]
            self._said = (*said, *(None if names is None else tuple(names) for names in subject.names()))
            self._content = Content.of(inputs)
            self._entry = shelf.entry_of(self._content)

    def get(self, layer: LayerLike, target: Target, *rest: Hashable) -> Any:
        """Return what is kept for a layer, a target and what else it depends on, or None."""
        key = self._key(layer, target, rest)
        entry = self._entry
        if key is None or entry is None or key not in entry.found or not self._is_sure(entry):
            return None
        self._shelf.note_use(entry)
        return entry.found[key]

    def put(self, found: Any, size: int, layer: LayerLike, target: Target, *rest: Hashable) -> None:
        """Keep something, unless the pass that gave it drew random numbers or changed the model.

        Args:
            found: What to keep.
            size: How many bytes it takes.
            layer: The layer that was asked for.
            target: The target that was asked for.
            *rest: What else it depends on.
        """
        if not self.is_on or not self._leaves_the_state():
            return
        key = self._key(layer, target, rest)
        if key is None or not self._subject.module_state.is_untouched():
            return
        if self._entry is None or not self._shelf.holds(self._entry):
            self._entry = self._shelf.add(self._content, SHARING.test)
        self._shelf.put(self._entry, key, found, size)
        _make_room()

    def _leaves_the_state(self) -> bool:
        """Return whether the passes until now have left the model as it was; one of torch's own modules does."""
        shelf, state = self._shelf, self._subject.module_state
        if self._runs != state.runs and not state.is_known:
            self._runs, self.is_on = state.runs, _is_of(shelf, state)
            shelf.changed = 0 if self.is_on else shelf.changed + 1
            if shelf.changed == _MOST_CHANGED:
                _SHELVES[self._subject.module] = None
        return self.is_on

    def _key(self, layer: LayerLike, target: Target, rest: tuple[Hashable, ...]) -> Hashable:
        if not self.is_on or not (isinstance(target, (int, str, NoneType)) or type(target) in _FIXED_TARGETS):
            return None
        if isinstance(layer, nn.Module):
            layer = name_of(self._subject.module, layer)
        if not (layer is None or isinstance(layer, (int, str))):
            return None
        return (self._said, _plain(AUTO if layer is None else layer), _plain(target), rest)

    def _is_sure(self, entry: Entry) -> bool:
        # A write to weights that nothing else shows goes unseen within one test; the next one looks at every value.
        if SHARING.test not in (entry.test, self._shelf.test):
            if not _holds(self._shelf):
                _SHELVES.pop(self._subject.module, None)
                shelf = _shelf_of(self._subject.module, self._subject.module_state)
                self._entry, self._shelf, self.is_on = None, shelf or self._shelf, shelf is not None
                return False
            self._shelf.test = SHARING.test
        return True


def forget() -> None:
    """Let go of all that is kept."""
    _SHELVES.clear()


def kept_bytes() -> int:
    """Return how many bytes are kept."""
    return sum(shelf.size for shelf in _shelves())


def _shelf_of(model: nn.Module, state: ModelState) -> Shelf | None:
    _let_go()
    try:
        shelf = _SHELVES.get(model)
        if model not in _SHELVES or (shelf is not None and not shelf.fingerprint.is_still_that_of(state)):
            now, changed = Fingerprint.of(state), 0 if shelf is None else shelf.changed
            shelf = _SHELVES[model] = Shelf(now, now.content(), SHARING.test, changed)
    except Exception:  # tensors of kinds of their own may refuse any question, and objects any comparison
        shelf = _SHELVES[model] = None
    if shelf is not None:
        shelf.idleness.note_use(SHARING.test)
    return shelf


def _let_go() -> None:
    """Let go of models that were not used in this test, nor in the one before, and that their shelf keeps alive."""
    for model, shelf in list(_SHELVES.items()):
        if shelf is not None and shelf.idleness.is_due(SHARING.test) and leads_to(shelf, model):
            del _SHELVES[model]


def _is_of(shelf: Shelf, state: ModelState) -> bool:
    try:
        return shelf.fingerprint.is_still_that_of(state)
    except Exception:  # as above
        return False


def _holds(shelf: Shelf) -> bool:
    try:
        return shelf.fingerprint.content() == shelf.weights
    except Exception:  # as above; on a GPU memory may be short, too
        return False


def _is_shareable(subject: Subject) -> bool:
    """Return whether the same call gives the same answer, as far as can be told beforehand."""
    further = subject.further or {}
    return (
        isinstance(subject.state, ModelState)
        # TorchScript keeps what a module holds outside of Python.
        and (
            subject.state.is_known
            or not any(isinstance(each, torch.jit.ScriptModule) for each in subject.state.modules)
        )
        and not any(further.get(name) for name in ("model_args", "model_kwargs", "reshape"))
        and isinstance(further.get("output"), (str, int, NoneType))
        # A hook or a mode of the user sees what runs, and may change it.
        and not subject.state.has_hooks()
        and function_mode() is None
        and _dispatch_mode() is None
    )


def _plain(value: Any) -> Hashable:
    # By their texts 1, True and 1.0 differ, which are equal; and a target that holds a list has one, too.
    return type(value), repr(value)


def _make_room() -> None:
    while kept_bytes() > MOST_BYTES:
        oldest = min((shelf for shelf in _shelves() if shelf.size), key=lambda shelf: shelf.oldest().used)
        oldest.drop_oldest()


def _shelves() -> list[Shelf]:
    return [shelf for shelf in _SHELVES.values() if shelf is not None]
