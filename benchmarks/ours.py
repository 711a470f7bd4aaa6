"""pytest-cam as its users call it, and the plain pass that it is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.figures import UnavailableError
from pytest_cam import attend, attend_batch
from pytest_cam.errors import MethodError

NAME = "pytest-cam"
DEFAULT = "gradcam++"


def plain(model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return one inference pass of the model."""

    def run(given: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            output: torch.Tensor = model(given)
        return output

    return run


def mapped(model: nn.Module, layer: str, method: str = DEFAULT) -> Callable[[torch.Tensor], Any]:
    """Return what maps the predicted class of each image of a batch: `attend` for one, `attend_batch` for several."""

    def run(given: torch.Tensor) -> Any:
        if given.shape[0] == 1:
            return attend(model, given, layer=layer, method=method)
        return attend_batch(model, given, layer=layer, method=method)

    return run


def require_methods(method: Any, target: Any = None) -> None:
    """Check, on a tiny network, that this version of pytest-cam takes this method, or these, and these targets.

    Raises:
        UnavailableError: It does not.
    """
    tiny = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 10)).eval()
    try:
        attend(tiny, torch.rand(1, 3, 8, 8), layer="0", method=method, target=target)
    except (MethodError, TypeError) as error:
        raise UnavailableError(f"not available in this version of pytest-cam: {str(error).splitlines()[0]}") from None
