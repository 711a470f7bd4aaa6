"""Models in which the images of a batch change one another's scores: noticed, and run one image at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pytest_cam.engine.black_box import State
from pytest_cam.engine.state import ModelState
from pytest_cam.errors import ModelError, is_ours

__tracebackhide__ = is_ours

Run = Callable[[torch.Tensor], torch.Tensor]

# What a value of one row may differ by when others run beside it: a share of what rows differ by, or of the value
# itself, for its rounding: on the CPU, on other devices, in half precision.
_OF_SPREAD = 0.05
_ROUNDING, _ROUNDING_ELSEWHERE, _ROUNDING_OF_HALF = 1e-4, 1e-3, 2e-2


def require_uncoupled(state: ModelState, images: int) -> None:
    """Check that a model does not normalise over the images of a batch.

    Args:
        state: The model's state.
        images: How many images run at once; one has nothing beside it.

    Raises:
        ModelError: It does.
    """
    found = None if images < 2 else _batch_norm(state.modules)
    if found is not None:
        name = next(name for name, module in state.model.named_modules() if module is found)
        raise ModelError(
            f"the model normalises over the batch: {type(found).__name__} {name!r} keeps no running statistics "
            f"(track_running_stats=False), so the {images} images of a batch would change one another's maps; "
            "accepted: one image a call, attend(model, img)"
        )


def uncoupled(run: Run, state: State) -> Run:
    """Return what runs samples in a batch, or one at a time where a model's scores depend on what is beside them.

    A model that normalises over the batch is known by its modules. Of one that is not made of torch's own modules, the
    first batch tells: its first and its last row must have alone the values that they have within it. (A model that
    branches by values of the whole batch, and not yet in the first, goes unseen.)

    Args:
        run: From samples (n, ...) to their values (n, ...).
        state: The model's state.
    """
    coupled = _batch_norm(state.modules) is not None if isinstance(state, ModelState) else False
    told = coupled or state.is_known

    def checked(samples: torch.Tensor) -> torch.Tensor:
        nonlocal coupled, told
        if len(samples) == 1:
            return run(samples)
        if not coupled:
            values = run(samples)
            if told or values.shape[:1] != samples.shape[:1]:
                return values
            ends = torch.cat([run(samples[:1]), run(samples[-1:])])
            coupled, told = _differ(ends, values[[0, -1]], state), True
            if not coupled:
                return values
        return torch.cat([run(samples[index : index + 1]) for index in range(len(samples))])

    return checked


def _batch_norm(modules: list[nn.Module]) -> nn.Module | None:
    return next((each for each in modules if isinstance(each, _BatchNorm) and each.running_mean is None), None)


def _differ(alone: torch.Tensor, together: torch.Tensor, state: State) -> bool:
    # Of a row of several parts, as activations and gradients are, each is looked at: their sizes differ by much.
    parts = alone.shape[1] if alone.ndim > 1 else 1
    alone, together = (values.detach().double().reshape(2, parts, -1) for values in (alone, together))
    spread = (together[0] - together[1]).abs().amax(dim=1)
    size = together.abs().amax(dim=(0, 2))
    rounding = _ROUNDING if state.device.type == "cpu" else _ROUNDING_ELSEWHERE
    if state.dtype in (torch.float16, torch.bfloat16) or torch.is_autocast_enabled(state.device.type):
        rounding = _ROUNDING_OF_HALF
    return bool(((alone - together).abs().amax(dim=(0, 2)) > (_OF_SPREAD * spread).maximum(rounding * size)).any())
