"""Methods asked for their maps, of what a pass has found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_cam.engine.batches.memory import is_shortage
from pytest_cam.engine.methods import RESOURCES, Method
from pytest_cam.engine.passes.trace import Trace
from pytest_cam.engine.resources import Resources
from pytest_cam.engine.scores.explained import Explained
from pytest_cam.engine.scores.targets import Target
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import CamError, CamWarning, MethodError, NonFiniteError, is_ours, kind_of

__tracebackhide__ = is_ours

# What stands for the layer of a method that takes none.
NO_LAYER = "the input"
ATTENTION = "the attention of all blocks"


@dataclass(eq=False)
class Found:
    """The maps of one layer, method and target for a batch of B inputs.

    Attributes:
        layer: The layer's dotted name.
        call: Which of its executions in the pass is explained, from 1.
        calls: How often the layer ran in the pass.
        layout: How its output reads as (B, C, h, w), in words.
        method: The method's name.
        maps: (B, h, w) float32, >= 0.
        explained: What each score is.
    """

    layer: str
    call: int
    calls: int
    layout: str
    method: str
    maps: npt.NDArray[np.float32]
    explained: list[Explained]


@dataclass(eq=False)
class Question:
    """One target for each image of a batch, and what the pass has found for it.

    Attributes:
        given: The targets as they were given.
        explained: What their scores are.
        logits: The class scores (B, K), or None where the output has none.
        parts: What was found at each layer.
    """

    given: list[Target]
    explained: list[Explained]
    logits: torch.Tensor | None
    parts: list[Trace]


@dataclass(eq=False)
class Ask:
    """Asks methods for their maps.

    Attributes:
        subject: The model.
        inputs: The batch (B, C, H, W).
        seed: That of methods which draw random numbers.
        options: The methods' own options.
    """

    subject: Subject
    inputs: torch.Tensor
    seed: int
    options: Mapping[str, Any]

    def __call__(self, method: Method, question: Question, number: int) -> Found:
        """Return a method's maps for one of the layers.

        Raises:
            MethodError: A registered method fails, or returns something else than maps.
            NonFiniteError: A map is not finite.
        """
        part = question.parts[number] if method.takes_a_layer else None
        options = {name: value for name, value in self.options.items() if name in method.options}
        if method.takes_batches:
            maps = self._called(method, _handed(method, part), options)
        else:
            each = [self._of_one(method, question, part, index, options) for index in range(len(self.inputs))]
            _require_one_size(method, each)
            maps = torch.cat(each)
        return _found(method, maps, part, question.explained, self.inputs)

    def _of_one(
        self, method: Method, question: Question, part: Trace | None, index: int, options: Mapping[str, Any]
    ) -> torch.Tensor:
        explained = question.explained[index]
        target = explained.for_versions(question.given[index])
        resources = Resources(
            self.subject, self.inputs, index, target, explained, part, question.logits, self.seed, method.name
        )
        maps: torch.Tensor = self._called(method, _handed(method, resources), options)
        _require_maps(method, maps, 1, None if part is None else part.layout.grid)
        return maps

    def _called(self, method: Method, handed: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
        """Return what a method returns; an error of a registered one says whose it is."""
        if method.is_built_in:
            return method(**handed, **options)
        try:
            with self.subject.state.users_code():
                return method(**handed, **options)
        except (CamError, CamWarning):
            raise
        except Exception as error:
            if is_shortage(error):
                raise
            text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            asked = " and ".join(repr(name) for name in RESOURCES if name in method.needs)
            raise MethodError(
                f"method {method.name!r} raised {text}. It gets what its parameters name, which is {asked}; accepted: "
                f"{', '.join(map(repr, RESOURCES))}"
            ) from error


def _handed(method: Method, source: Trace | Resources | None) -> dict[str, Any]:
    """Return what a method asks for; a registered one gets copies, as it may write to them, in the usual layout."""
    values = {name: getattr(source, name) for name in method.needs}
    if method.is_built_in:
        return values
    usual = torch.contiguous_format
    return {
        name: each.clone(memory_format=usual) if isinstance(each, torch.Tensor) else each
        for name, each in values.items()
    }


def _found(method: Method, maps: Any, part: Trace | None, explained: list[Explained], inputs: torch.Tensor) -> Found:
    _require_maps(method, maps, inputs.shape[0], None if part is None else part.layout.grid)
    maps = maps.detach().float()
    if not math.isfinite(float(maps.sum())) and not bool(maps.isfinite().all()):
        where = _place_of(method) if part is None else f"layer {part.layer}"
        raise NonFiniteError(f"the {method.name} map at {where} is not finite although {_finite(method)}")
    values = maps.numpy(force=True)
    if not method.is_built_in:
        values = np.maximum(values, 0)
    if part is None:
        rows, columns = values.shape[1:]
        kind = "input" if _place_of(method) == NO_LAYER else "tokens"
        return Found(_place_of(method), 1, 1, f"{kind}, {rows} x {columns}", method.name, values, explained)
    return Found(part.layer, part.call, part.calls, str(part.layout), method.name, values, explained)


def _finite(method: Method) -> str:
    """Return what is finite of what a map comes from, and why the map is not."""
    if method.needs.isdisjoint({"score_inputs", "score_activations"}):
        known, made = "activations and gradients", "their products leave"
    else:
        known, made = "the scores", "what is made of them leaves"
    if not method.is_built_in:
        return f"{known} are: the method that is registered under this name returned NaN or infinity"
    return f"{known} are: {made} the range of float32. Scale the score"


def _place_of(method: Method) -> str:
    return ATTENTION if "attention_gradients" in method.needs else NO_LAYER


def _require_maps(method: Method, maps: Any, batch: int, grid: tuple[int, int] | None) -> None:
    if isinstance(maps, torch.Tensor) and not _strangeness(maps) and maps.ndim == 3 and maps.shape[0] == batch:
        cells = tuple(maps.shape[1:])
        if cells == grid or (grid is None and min(cells) > 0):
            return
    wanted = f"({batch}, h, w), h and w from 1" if grid is None else f"({batch}, {grid[0]}, {grid[1]})"
    raise MethodError(
        f"method {method.name!r} returned {_described(maps)}; accepted: a tensor {wanted}, one map (h, w) for each "
        "image, dense and of real numbers"
    )


def _require_one_size(method: Method, maps: list[torch.Tensor]) -> None:
    sizes = list(dict.fromkeys(tuple(each.shape[1:]) for each in maps))
    if len(sizes) > 1:
        raise MethodError(
            f"method {method.name!r} returned maps {' and '.join(map(str, sizes))} for the images of one batch; "
            "accepted: maps (h, w) of one size"
        )


def _described(maps: Any) -> str:
    if not isinstance(maps, torch.Tensor):
        return kind_of(maps)
    return "a nested tensor" if maps.is_nested else f"a tensor {tuple(maps.shape)}{_strangeness(maps)}"


def _strangeness(maps: torch.Tensor) -> str:
    """Return in which way a tensor holds something else than one real number for each cell, or ""."""
    if maps.is_meta:
        return " on the meta device"
    if maps.layout is not torch.strided or maps.is_nested:
        return f" of {maps.layout}"
    return f" of {maps.dtype}" if maps.is_complex() or maps.is_quantized else ""
