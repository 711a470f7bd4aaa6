"""What `pytest --cam-list-layers=module:factory` prints."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn

from pytest_cam.columns import in_columns
from pytest_cam.engine.model.state import ModelState
from pytest_cam.engine.passes.forward import Run
from pytest_cam.engine.passes.listing import Explainable, explainable_layers
from pytest_cam.engine.passes.trace import trace
from pytest_cam.engine.subject import Subject
from pytest_cam.errors import CamError, SettingError, kind_of, nearest
from pytest_cam.images.geometry import size_said

_SIDE = 224
_ACCEPTED = (
    "module:factory, a function without arguments that returns a torch.nn.Module, or (model, input) with an input "
    "(B, C, H, W) that the model takes; or such a module itself"
)
# A fixture that is called, pytest.skip and scripts that read the command line raise what is no Exception.
_FAILURES = (Exception, SystemExit, pytest.fail.Exception, pytest.skip.Exception)


def layers_table(place: str) -> str:
    """Return the explainable layers of a model: index, name, type, layout, channels, and which one "auto" takes.

    Args:
        place: "module:factory", a callable without arguments that returns the model, or (model, input) with an input
            (B, C, H, W); or the model itself. Without an input, one of noise of the size that the model tells, or of
            224 x 224.

    Raises:
        SettingError: There is no such factory, it fails or returns something else, or the model fails on the input.
        CamError: The model cannot be run, or no layer has a grid.
    """
    model, inputs = _made_by(place)
    with ModelState(model) as state:
        subject = Subject(model, state, len(inputs))
        inputs = subject.placed(inputs)
        run = Run(model, state, call=partial(_ran, subject, inputs, place), read=lambda output: [])
        layers = explainable_layers(run, subject.reader(inputs))
        auto, unknown = "", ""
        try:
            auto = trace(subject, inputs)[0][0].layer
        except CamError as error:
            unknown = f"which of them is taken by default cannot be told here: {error}"
    header = f"{type(model).__name__}, input {size_said(inputs.shape)}: {len(layers)} explainable layers"
    return "\n".join([header, *_rows(layers, auto), *filter(None, [unknown])])


def _rows(layers: list[Explainable], auto: str) -> list[str]:
    cells = [("index", "layer", "type", "grid", "channels", "")]
    for index, layer in enumerate(layers):
        mark = "<- auto" if layer.name == auto else ""
        cells.append((str(index - len(layers)), layer.name, layer.kind, layer.layout, str(layer.channels), mark))
    return in_columns(cells)


def _ran(subject: Subject, inputs: torch.Tensor, place: str) -> Any:
    try:
        return subject.call(inputs)
    except CamError:
        raise
    except Exception as error:
        size = size_said(inputs.shape)
        raise _refusal(f"the model from {place} does not run on an input {size}: {_told(error)}") from error


def _made_by(place: str) -> tuple[nn.Module, torch.Tensor]:
    made = _made(place)
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, nn.Module):
        raise _refusal(f"{place} returned {kind_of(made)}")
    if inputs is None:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(1, *_size(model), generator=generator, device="cpu")
    if not isinstance(inputs, torch.Tensor) or inputs.ndim != 4:
        raise _refusal(f"the input from {place} is {inputs!r:.80}")
    return model, inputs


def _made(place: str) -> Any:
    module_name, _, name = place.partition(":")
    if not module_name or not name:
        raise SettingError(
            f"--cam-list-layers is {place!r}; accepted: module:factory, as in torchvision.models:resnet18"
        )
    try:
        module = import_module(module_name)
    except _FAILURES as error:
        dotted = module_name.removesuffix(".py").replace("\\", "/").replace("/", ".").lstrip(".")
        meant = "" if dotted == module_name else f". Did you mean {dotted}:{name}, by the name of the module?"
        raise SettingError(f"--cam-list-layers: {module_name} does not import ({_told(error)}){meant}") from error
    factory = getattr(module, name, None)
    if isinstance(factory, nn.Module):
        return factory
    if not callable(factory):
        known = [each for each in vars(module) if callable(getattr(module, each)) and not each.startswith("_")]
        raise SettingError(f"--cam-list-layers: {module_name} has no callable {name!r}. {nearest(name, known)}")
    try:
        return factory()
    except _FAILURES as error:
        raise _refusal(f"{place}() raised {_told(error)}") from error


def _refusal(words: str) -> SettingError:
    return SettingError(f"--cam-list-layers: {words}; accepted: {_ACCEPTED}")


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _size(model: nn.Module) -> tuple[int, int, int]:
    """Return (C, H, W) as timm's, Hugging Face's and torchvision's models tell it."""
    told = getattr(model, "default_cfg", None) or {}
    if "input_size" in told:
        return told["input_size"]  # type: ignore[no-any-return]  # as timm writes it
    config = getattr(model, "config", None)
    side = getattr(config, "image_size", None) or getattr(model, "image_size", None) or _SIDE
    height, width = side if isinstance(side, (tuple, list)) else (side, side)
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    return (3 if first is None else first.in_channels), height, width
