"""The graph of operations that a tensor has come from."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import ref

import torch


def nodes_behind(tensor: torch.Tensor) -> Iterator[torch.autograd.graph.Node]:
    """Return the nodes of the graph that a tensor has come from, each once."""
    nodes = [] if tensor.grad_fn is None else [tensor.grad_fn]
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
    known = {id(leaf) for leaf in (each() for each in leaves) if leaf is not None}
    return any(id(getattr(node, "variable", None)) in known for node in nodes_behind(tensor))
