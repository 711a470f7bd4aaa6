"""Linear layers whose backward pass leaves out what is multiplied by zero.

A vision transformer that reads its class token alone has, in its last block, a gradient of zero at all other tokens
until the attention spreads it. And of a layer before a ReLU, as in the head of VGG, half of the gradient is zero, so
that half of its weight, 411 MB there, is read for nothing. Autograd multiplies these zeros through as it does any other
numbers; here they are left out, which changes no value: the product of a zero is zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from pytest_cam.engine.model.module_tree import is_wide
from pytest_cam.engine.passes.own_mode import OwnMode

# From this share of rows on that are not zero, picking them out costs more than it spares.
_WORTH_IT = 0.5
# Into how many sums that of a wide layer is split.
_THREADS_FED = 8


class SparseRows(OwnMode):
    """Within a `with` block, linear layers take their gradients only where there are any.

    Those over tokens (B, n, C), and wide ones (`is_wide`) of one image (1, C) in float32 on a CPU. Only where the input
    has a graph and the weight is constant: the gradient of a parameter is never computed.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch's; see `torch.overrides`."""
        if func is functional.linear and not kwargs and _may_leave_out(*args):
            return _SparseLinear.apply(*args)
        return func(*args, **(kwargs or {}))


def _may_leave_out(inputs: Any, weight: Any, bias: Any = None) -> bool:
    constants = (weight,) if bias is None else (weight, bias)
    return (
        torch.is_grad_enabled()
        # What torch.func transforms asks more of a function than there is here.
        and not torch._C._are_functorch_transforms_active()
        and not torch.is_autocast_enabled(inputs.device.type)
        and (inputs.ndim == 3 or _is_one_of_a_wide_layer(inputs, weight))
        and inputs.requires_grad
        # One that is computed, as a parametrized one is, may depend on the layer, and a subclass does as it likes.
        and all(type(each) in (torch.nn.Parameter, torch.Tensor) and each.grad_fn is None for each in constants)
    )


def _is_one_of_a_wide_layer(inputs: torch.Tensor, weight: torch.Tensor) -> bool:
    return (
        inputs.ndim == 2
        and len(inputs) == 1
        and is_wide(weight)
        and weight.is_cpu
        and weight.dtype == torch.float32
        and weight.layout == torch.strided
        and weight.is_contiguous()
    )


class _SparseLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        ctx.save_for_backward(weight)
        output = functional.linear(inputs, weight, bias)
        # A view that is made in here may not be written to in place, as ReLU(inplace=True) does. It is one in some
        # versions of torch; of a tensor that nobody else has, it need not be.
        return torch.ops.aten._unsafe_view(output, output.shape) if output._is_view() else output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        if gradient.ndim == 2:
            # What is differentiated again depends on the zeros, too.
            found = gradient.matmul(weight) if torch.is_grad_enabled() else _weighted_rows(gradient, weight)
            return found, None, None
        rows = gradient.reshape(-1, gradient.shape[-1])
        (some,) = rows.detach().any(dim=1).nonzero(as_tuple=True)
        if len(some) > _WORTH_IT * len(rows):
            return gradient.matmul(weight), None, None
        found = rows.new_zeros(len(rows), weight.shape[1]).index_put((some,), rows[some].matmul(weight))
        return found.reshape(*gradient.shape[:-1], -1), None, None


def _weighted_rows(weights: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return weights (1, n) @ rows (n, C), reading only the rows whose weight is not zero."""
    (some,) = weights[0].nonzero(as_tuple=True)
    # One sum after the other is taken by one thread.
    starts = torch.arange(_THREADS_FED, device=some.device) * len(some) // _THREADS_FED
    sums = functional.embedding_bag(some, rows, starts, mode="sum", per_sample_weights=weights[0, some])
    return sums.sum(dim=0, keepdim=True)
