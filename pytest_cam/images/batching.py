"""The inputs of several images as one batch."""

from __future__ import annotations

import torch

from pytest_cam.errors import ImageError, is_ours
from pytest_cam.images.preprocessing import PreparedImage

__tracebackhide__ = is_ours


def stacked(prepared: list[PreparedImage]) -> torch.Tensor:
    """Return the inputs of some images as one batch (B, C, H, W).

    Raises:
        ImageError: They differ in shape.
    """
    tensors = [item.tensor for item in prepared]
    if len(tensors) == 1:
        return tensors[0].unsqueeze(0)
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1:
        raise ImageError(f"the inputs of a batch must have one shape, and these have {sorted(shapes)}")
    return as_one(tensors)


def as_one(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Return tensors of one shape as a batch: without a copy where they are the rows of a batch already."""
    first, step = tensors[0], tensors[1].storage_offset() - tensors[0].storage_offset()
    place, strides = first.untyped_storage().data_ptr(), first.stride()
    for index, tensor in enumerate(tensors):
        in_place = tensor.storage_offset() == first.storage_offset() + index * step
        if not in_place or tensor.untyped_storage().data_ptr() != place or tensor.stride() != strides or step <= 0:
            return torch.stack(tensors)
    return first.as_strided((len(tensors), *first.shape), (step, *strides))
