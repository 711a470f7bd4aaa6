"""The error about a layer whose output is of another number of things than there are images."""

from __future__ import annotations

import torch

from pytest_cam.errors import LayerError


def of_other_batch(name: str, shape: torch.Size, images: int) -> LayerError:
    """Return the error about a layer with an output of that shape for a number of images."""
    return LayerError(
        f"layer {name!r} has an output {tuple(shape)} for {images} images, so which part belongs to which image is not "
        f"known; accepted: ({images}, C, h, w), ({images}, h, w, C) or ({images}, tokens, C), or "
        "reshape=<callable from this tensor to (B, C, h, w)>"
    )
