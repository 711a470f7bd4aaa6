"""Attention probabilities, seen and replaced wherever torch computes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, TypeAlias

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

# From probabilities (..., queries, keys) to those that the model goes on with.
See: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

_SOFTMAXES = (functional.softmax, torch.softmax, torch.Tensor.softmax)


class SeenAttention(TorchFunctionMode):
    """Shows all attention probabilities of a forward pass to a function, in a `with` block and in its thread.

    These are the softmax within `torch.nn.functional.scaled_dot_product_attention`, which is computed in the open here,
    and any other softmax over the last of three axes or more, as attention has that is written out. What a kernel of
    another package computes is not seen.

    Args:
        see: Called with probabilities (..., queries, keys); the model goes on with what it returns.
    """

    def __init__(self, see: See) -> None:
        super().__init__()
        self._see = see

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call one of torch's functions, which the model has called."""
        if func is functional.scaled_dot_product_attention:
            func = self._attend
        elif func in _SOFTMAXES:
            func = partial(self._softmax, func)
        elif func is functional.multi_head_attention_forward:
            # A mode is asked about this function as a whole, and not about what it calls in turn.
            func = _calling(
                func,
                scaled_dot_product_attention=self._attend,
                softmax=partial(self._softmax, functional.softmax),
            )
        return func(*args, **(kwargs or {}))

    def _softmax(self, own: Callable[..., Any], given: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        result: torch.Tensor = own(given, *args, **kwargs)
        axis = kwargs.get("dim", args[0] if args else None)
        is_last = axis in (-1, result.ndim - 1)
        return self._see(result) if is_last and result.ndim > 2 else result

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        """Return what scaled_dot_product_attention returns, whose arguments these are."""
        if enable_gqa:
            groups = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
        factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        scores = (query * factor) @ key.transpose(-2, -1)
        if is_causal:
            scores = scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -math.inf)
        if attn_mask is not None:
            hidden = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -math.inf) if hidden else scores + attn_mask
        probabilities = self._see(scores.softmax(dim=-1))
        return (functional.dropout(probabilities, dropout_p) if dropout_p else probabilities) @ value


def _calling(function: Any, **others: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same as another in Python, and calls others under some global names."""
    copied = FunctionType(
        function.__code__,
        {**function.__globals__, **others},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copied.__kwdefaults__ = function.__kwdefaults__
    return copied
