"""The graph of operations that a tensor has come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import torch

# The dimension of tokens, as the graph keeps the numbers 1 and -2.
_OF_TOKENS = (1, 2**64 - 2)

# What makes each cell of that cell alone, or of those next to it, as a graph names it: views and copies, and functions
# of single values or of the channels.
_OF_ONE_CELL = {
    *("Alias", "Cat", "Clone", "ConstantPadNd", "CopySlices", "Expand", "Flip", "Index", "Permute", "PixelShuffle"),
    *("Select", "Slice", "Split", "SplitWithSizes", "Squeeze", "Stack", "ToCopy", "Transpose", "Unbind", "UnsafeView"),
    *("Unsqueeze", "View"),
    *("Add", "Clamp", "Div", "Elu", "Exp", "Gelu", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyRelu", "Log"),
    *("LogSigmoid", "LogSoftmax", "Mish", "Mul", "Neg", "PreluKernel", "Relu", "Sigmoid", "Silu", "Softmax"),
    *("Softplus", "Sub", "Tanh"),
    *("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"),
}


def nodes_behind(tensor: torch.Tensor) -> Iterator[torch.autograd.graph.Node]:
    """Return the nodes of the graph that a tensor has come from, each once."""
    return _from(tensor.grad_fn)


def _from(
    *starts: torch.autograd.graph.Node | None, goes_on: Callable[[torch.autograd.graph.Node], bool] = lambda _: True
) -> Iterator[torch.autograd.graph.Node]:
    """Return some nodes and those behind them, each once.

    Args:
        starts: The nodes.
        goes_on: Whether what is behind a node counts, too.
    """
    nodes = [node for node in starts if node is not None]
    seen = set(nodes)
    for node in nodes:  # which grows meanwhile
        yield node
        if goes_on(node):
            fresh = [function for function, _ in node.next_functions if function is not None and function not in seen]
            seen.update(fresh)
            nodes += fresh


def comes_from(tensor: torch.Tensor, leaves: list[ref[torch.Tensor]]) -> bool:
    """Return whether a tensor has come from one of some leaves of its graph.

    Args:
        tensor: The tensor.
        leaves: The leaves, which a graph that has come from them keeps alive.
    """
    return _leads_from(leaves, tensor.grad_fn)


def comes_cell_by_cell(tensor: torch.Tensor, place: torch.Tensor) -> bool:
    """Return whether each cell of a tensor has come from that cell of a place in its graph, and from no other one.

    Resampled cells come from those next to them. A convolution of 1 x 1 counts as well: a linear map of a cell's
    channels to class scores gives a map of its own for what it reads that is the one of the scores.

    Args:
        tensor: The tensor.
        place: The place, a leaf or what has come from one.
    """

    def is_there(node: torch.autograd.graph.Node) -> bool:
        return node is place.grad_fn or getattr(node, "variable", None) is place

    def goes_on(node: torch.autograd.graph.Node) -> bool:
        return not is_there(node) and _is_of_one_cell(node)

    met = list(_from(tensor.grad_fn, goes_on=goes_on))
    ends = [node for node in met if not goes_on(node)]
    elsewhere = [node for node in ends if not is_there(node)]
    return len(elsewhere) < len(ends) and not any(map(is_there, _from(*elsewhere)))


def is_joined_last(tensor: torch.Tensor, leaves: list[ref[torch.Tensor]]) -> bool:
    """Return whether, where a sequence of tokens was joined, what has come from some leaves is at its end.

    Args:
        tensor: The tokens (B, tokens, C).
        leaves: The leaves of its graph.

    Returns:
        True too where it is not seen to be joined. False where words are replaced by what has come from the leaves:
        these may lie anywhere.
    """
    for node in nodes_behind(tensor):
        if node.name() == "MaskedScatterBackward0":
            return False
        if node.name() == "CatBackward0" and getattr(node, "_saved_dim", None) in _OF_TOKENS:
            return _leads_from(leaves, node.next_functions[-1][0])
    return True


def _leads_from(leaves: list[ref[torch.Tensor]], node: torch.autograd.graph.Node | None) -> bool:
    known = {id(leaf) for leaf in (each() for each in leaves) if leaf is not None}
    return any(id(getattr(each, "variable", None)) in known for each in _from(node))


def _is_of_one_cell(node: torch.autograd.graph.Node) -> bool:
    kind = node.name().partition("Backward")[0]
    if kind == "Convolution":
        saved: Any = node  # each kind of node has its own
        return all(side == 1 for side in saved._saved_weight.shape[2:])
    return kind in _OF_ONE_CELL or kind.startswith("Upsample")
