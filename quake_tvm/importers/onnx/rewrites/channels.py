"""Tensors with their channels last: transpositions to the standard's order, and back."""

from .graph import Graph


def to_first(graph: Graph, x: str, rank: int) -> str:
    """Emit the tensor with its last axis as its second."""
    return graph.emit("Transpose", [x], perm=[0, rank - 1, *range(1, rank - 1)])


def to_last(graph: Graph, x: str, rank: int, output: str = "") -> str:
    """Emit the tensor with its second axis as its last."""
    return graph.emit("Transpose", [x], output, perm=[0, *range(2, rank), 1])
