"""Large convolutions of 1 x 1 where torch has one thread, as in a worker among several.

Torch gives them to oneDNN where it has several threads or many images, and to the matrix product of MKL elsewhere,
which takes twice as long on a processor of AMD: 75 ms for one image of a ResNet-50 instead of 55. No setting of torch's
says otherwise; but dilated convolutions are always oneDNN's, and a kernel of 1 x 1 has nothing to spread out: with any
dilation it is the same convolution. Its values are then those that several threads compute, to the last bit.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from pytest_cam.engine.model.module_tree import ModuleTree
from pytest_cam.engine.passes.own_mode import OwnMode

# From how many products on it pays; and how many values must go in for torch to ask oneDNN at all.
_PRODUCTS, _VALUES = 1 << 23, 20_480


def pointwise_by_onednn(tree: ModuleTree) -> AbstractContextManager[object]:
    """Return a `with` block for a pass of a model; it does nothing where torch has several threads, or no oneDNN.

    Args:
        tree: The model's modules.
    """
    if torch.get_num_threads() > 1 or not tree.has_many_pointwise_weights or not torch._C._get_mkldnn_enabled():
        return nullcontext()
    return _PointwiseByOneDNN()


class _PointwiseByOneDNN(OwnMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # As torch's own modules call it: all positional.
        if func is torch.conv2d and len(args) == 7 and not kwargs:
            inputs, weight, bias, stride, padding, _, groups = args
            # `torch.fx` hands in what stands for tensors.
            if isinstance(inputs, torch.Tensor) and isinstance(weight, torch.Tensor) and _is_large(inputs, weight):
                args = inputs, weight, bias, stride, padding, (2, 2), groups
        return func(*args, **(kwargs or {}))


def _is_large(inputs: torch.Tensor, weight: torch.Tensor) -> bool:
    return (
        weight.shape[2:] == (1, 1)
        and inputs.is_cpu
        and inputs.dtype == torch.float32
        and inputs.numel() > _VALUES
        and inputs.numel() * weight.shape[0] >= _PRODUCTS
    )
