"""Models that take no batch, or whose images change one another's scores in one: noticed, and run image by image."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pytest_cam.engine.batches.memory import is_shortage
from pytest_cam.engine.batches.perturbing import RunBatch, in_batches
from pytest_cam.engine.black_box import State
from pytest_cam.engine.methods.resources import Make
from pytest_cam.engine.model.state import ModelState
from pytest_cam.errors import ModelError, is_ours

__tracebackhide__ = is_ours

# What a row's values may differ by in another company: a share of what the rows differ by, or of the values, and what
# they are rounded to. And where none is beside it, when other kernels may run.
_OF_SPREAD, _OF_VALUES, _OF_VALUES_ALONE, _EPSILONS = 1e-3, 1e-5, 1e-2, 4

# Layers whose inputs are quantised as they come, with one scale for all of a batch.
_DYNAMIC = ("torch.ao.nn.quantized.dynamic", "torch.ao.nn.intrinsic.quantized.dynamic")

# What one image takes in a network is some tens of times its input: 224 x 224 x 3 floats are 0.6 MB, and the largest
# two outputs of a ResNet-50 that are alive together 6 MB, of a VGG-16 26 MB.
_ACTIVATIONS_PER_INPUT = 50


def require_uncoupled(state: State, images: int) -> None:
    """Check that a model does not normalise over the images of a batch.

    Args:
        state: The model's state.
        images: How many images run at once; one has nothing beside it.

    Raises:
        ModelError: It does.
    """
    if images < 2 or not isinstance(state, ModelState):
        return
    found = next(filter(_normalises, state.modules), None)
    if found is not None:
        name = next(name for name, module in state.model.named_modules() if module is found)
        raise ModelError(
            f"the model normalises over the batch: {type(found).__name__} {name!r} keeps no running statistics "
            f"(track_running_stats=False), so the {images} images of a batch would change one another's scores; "
            "accepted: one image a call, attend(model, img), or a batch norm with running statistics"
        )


def are_apart(state: State) -> bool:
    """Return whether it is certain that the images of a batch do not change one another's scores.

    Args:
        state: The model's state: that of torch's own modules, without hooks of the user, and none among them works
            along the first axis.
    """
    return (
        isinstance(state, ModelState)
        and not state.runs_users_code()
        and not any(map(_is_along_the_batch, state.modules))
    )


def uncoupled(run: RunBatch, state: State) -> RunBatch:
    """Return what runs samples in a batch, or one at a time where a model takes no batch or mixes what is in one.

    A model that normalises over the batch, or takes one scale for all of it, is known by its modules. Of one that is
    not known to keep images apart, two rows of the first batch tell: before and behind the other, each must have the
    same values, one of them also beside a copy of itself, and nearly the same alone. (A branch by values of the whole
    batch that is not taken there goes unseen.) One that fails with several rows and not with one, as most that
    `torch.export` makes, takes no batch.

    Args:
        run: From samples (n, ...) to their values (n, ...).
        state: The model's state.
    """
    if are_apart(state):
        return run
    coupled = True if isinstance(state, ModelState) and any(map(_takes_all_together, state.modules)) else None

    def own(samples: torch.Tensor) -> torch.Tensor:
        # A model may write all that it returns into one buffer, as a session with bound outputs does.
        return run(samples).clone()

    def checked(samples: torch.Tensor) -> torch.Tensor:
        nonlocal coupled
        if len(samples) == 1:
            return own(samples)
        try:
            if coupled is None:
                coupled = _is_coupled(own, samples, _epsilon(state))
            if not coupled:
                return own(samples)
        except Exception as error:
            if is_shortage(error):
                raise
            coupled = True
        return torch.cat([own(samples[index : index + 1]) for index in range(len(samples))])

    return checked


def in_uncoupled_batches(
    run: RunBatch, make: Make, count: int, state: State, *, what: str, input_bytes: int
) -> torch.Tensor:
    """Return the values of many versions of one image, in batches that fit into memory: `in_batches` of `uncoupled`.

    Args:
        run: From versions (n, ...) to their values (n, ...).
        make: Returns the versions from start to stop, (stop - start, ...).
        count: How many there are, at least 1.
        state: The model's state.
        what: What they are, in the plural, for the progress bar and for errors.
        input_bytes: How many bytes one input of the model has.
    """
    unit = input_bytes * _ACTIVATIONS_PER_INPUT
    return in_batches(uncoupled(run, state), make, count, what=what, unit_bytes=unit, device=state.device)


def _normalises(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is None


def _takes_all_together(module: nn.Module) -> bool:
    """Return whether one of torch's own modules takes statistics of a whole batch, if only its greatest value."""
    return _normalises(module) or type(module).__module__.startswith(_DYNAMIC)


def _epsilon(state: State) -> float:
    return torch.finfo(state.dtype or torch.float32).eps


def _is_along_the_batch(module: nn.Module) -> bool:
    """Return whether one of torch's own modules may take its input's first axis for something else than the batch."""
    own = vars(module)  # to ask a module for what it has not is slow
    dims = own.get("dims")  # of torchvision's Permute
    return (
        _takes_all_together(module)
        or (isinstance(dims, (list, tuple)) and dims[0] != 0)
        or own.get("batch_first", True) is False  # of recurrent networks and attention
        or own.get("start_dim", 1) == 0  # of Flatten
        or own.get("dim", 1) in (0, None)  # of Softmax, GLU, Unflatten
    )


def _is_coupled(run: RunBatch, samples: torch.Tensor, epsilon: float) -> bool:
    first = samples[:1]
    differing = int((samples - first).abs().flatten(1).sum(dim=1).argmax())
    second = samples[differing : differing + 1]
    # Batches of one shape, so that the same kernels run and rounding is the same.
    pair = run(torch.cat([first, second]))
    if pair.shape[:1] != (2,):
        return True
    rows = [pair, run(torch.cat([second, first])), run(torch.cat([first, first])), run(first)]
    values = torch.cat(rows).detach().cpu().double()
    # Of a row of several parts, as activations and gradients are, each is looked at: their sizes differ by much.
    own, other, other_first, own_last, twice, again, alone = values.reshape(
        7, values.shape[1] if values.ndim > 1 else 1, -1
    )
    size = own.abs().maximum(other.abs()).amax(dim=1)
    spread = (own - other).abs().amax(dim=1)
    rounding = max(_OF_VALUES, _EPSILONS * epsilon) * size
    of_others = torch.stack([own - own_last, other - other_first, own - twice, own - again]).abs().amax(dim=(0, 2))
    of_number = (own - alone).abs().amax(dim=1)
    apart = (of_others <= rounding.maximum(_OF_SPREAD * spread)) & (
        of_number <= (_OF_VALUES_ALONE * size.maximum(spread)).maximum(rounding)
    )
    return not bool(apart.all())
