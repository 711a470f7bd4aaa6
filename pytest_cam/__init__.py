"""Attention regression tests for PyTorch vision models.

The public names are loaded when they are first used: importing this package imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_cam.attending import attend, attend_batch
    from pytest_cam.attention import Attention
    from pytest_cam.checks.bound import Cam
    from pytest_cam.checks.in_region import assert_attention_in_region
    from pytest_cam.checks.not_in_region import assert_attention_not_in_region
    from pytest_cam.errors import AttentionError, CamError
    from pytest_cam.images.regions import Box, Mask, Polygon, Region

_HOMES = {
    "Attention": "attention",
    "AttentionError": "errors",
    "Box": "images.regions",
    "Cam": "checks.bound",
    "CamError": "errors",
    "Mask": "images.regions",
    "Polygon": "images.regions",
    "Region": "images.regions",
    "assert_attention_in_region": "checks.in_region",
    "assert_attention_not_in_region": "checks.not_in_region",
    "attend": "attending",
    "attend_batch": "attending",
}

__all__ = [
    "Attention",
    "AttentionError",
    "Box",
    "Cam",
    "CamError",
    "Mask",
    "Polygon",
    "Region",
    "assert_attention_in_region",
    "assert_attention_not_in_region",
    "attend",
    "attend_batch",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name, "errors" if name.endswith("Error") else None)
    if home is not None:
        module = import_module(f"pytest_cam.{home}")
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"module 'pytest_cam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
