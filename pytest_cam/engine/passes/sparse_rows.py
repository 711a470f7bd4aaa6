"""Linear layers over tokens whose backward pass leaves out the tokens that the score does not read.

A vision transformer that reads its class token alone has, in its last block, a gradient of zero at all other tokens
until the attention spreads it. Autograd multiplies these zeros through as it does any other numbers; here the rows of
zeros are left out, which changes no value: the product of a row of zeros is a row of zeros.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# From this share of rows on that are not zero, picking them out costs more than it spares.
_WORTH_IT = 0.5


class SparseRows(TorchFunctionMode):
    """Within a `with` block, linear layers over tokens (B, n, C) take their gradients only where there are any.

    Only where the input has a graph and the weight is constant: the gradient of a parameter is never computed.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch's; see `torch.overrides`."""
        if func is functional.linear and not kwargs and _is_over_tokens(*args):
            return _LinearOverTokens.apply(*args)
        return func(*args, **(kwargs or {}))


def _is_over_tokens(tokens: Any, weight: Any, bias: Any = None) -> bool:
    constants = (weight,) if bias is None else (weight, bias)
    return (
        torch.is_grad_enabled()
        and not torch.is_autocast_enabled(tokens.device.type)
        and tokens.ndim == 3
        and tokens.requires_grad
        # One that is computed, as a parametrized one is, may depend on the layer, and a subclass does as it likes.
        and all(type(each) in (torch.nn.Parameter, torch.Tensor) and each.grad_fn is None for each in constants)
    )


class _LinearOverTokens(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        ctx.save_for_backward(weight)
        output = functional.linear(tokens, weight, bias)
        # A view that is made in here may not be written to in place, as ReLU(inplace=True) does. It is one in some
        # versions of torch; of a tensor that nobody else has, it need not be.
        return torch.ops.aten._unsafe_view(output, output.shape) if output._is_view() else output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        (some,) = rows.detach().any(dim=1).nonzero(as_tuple=True)
        if len(some) > _WORTH_IT * len(rows):
            return gradient.matmul(weight), None, None
        found = rows.new_zeros(len(rows), weight.shape[1]).index_put((some,), rows[some].matmul(weight))
        return found.reshape(*gradient.shape[:-1], -1), None, None
