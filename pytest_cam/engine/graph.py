"""The graph of operations that a tensor has come from."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import ref

import torch

# The dimension of tokens, as the graph keeps the numbers 1 and -2.
_OF_TOKENS = (1, 2**64 - 2)


def nodes_behind(tensor: torch.Tensor) -> Iterator[torch.autograd.graph.Node]:
    """Return the nodes of the graph that a tensor has come from, each once."""
    return _from(tensor.grad_fn)


def _from(node: torch.autograd.graph.Node | None) -> Iterator[torch.autograd.graph.Node]:
    nodes = [] if node is None else [node]
    seen = set(nodes)
    for node in nodes:  # which grows meanwhile
        yield node
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
