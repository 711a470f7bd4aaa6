"""The CAM methods by name: each a pure function of activations and gradients in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch

from pytest_cam.engine.methods.gradcam import gradcam
from pytest_cam.engine.methods.gradcam_plus_plus import gradcam_plus_plus
from pytest_cam.engine.methods.hirescam import hirescam
from pytest_cam.engine.methods.layercam import layercam
from pytest_cam.engine.methods.xgradcam import xgradcam
from pytest_cam.errors import MethodError, is_ours, nearest

__tracebackhide__ = is_ours

Method: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

METHODS: dict[str, Method] = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "hirescam": hirescam,
    "layercam": layercam,
    "xgradcam": xgradcam,
}


def method_named(name: str) -> Method:
    """Return the method of that name.

    Args:
        name: A key of `METHODS`.

    Returns:
        A function from activations and gradients, each (B, C, h, w), to maps (B, h, w), all >= 0.

    Raises:
        MethodError: There is no such method.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise MethodError(f"there is no method {name!r}. {nearest(name, METHODS)}")
    return METHODS[name]
