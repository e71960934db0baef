"""Symbolic extents of a tensor that its weights make known, as the channels of a convolution.

Kernels need them known. A run with other extents ends with an error.
"""

from collections.abc import Mapping

from tvm import relax

from ...kernels.fitted import fitted
from ...kernels.size_check import equal
from .extents import Extent, expression
from .node import Node


def impose(builder: relax.BlockBuilder, node: Node, wanted: Mapping[int, Extent]) -> None:
    """Give the first input's symbolic extents the sizes that the mapping has for their axes."""
    shape = node.shape()
    known = {
        axis: n
        for axis, n in wanted.items()
        if isinstance(n, int) and not isinstance(shape[axis], int)
    }
    if not known:
        return
    pairs = [pair for axis, n in known.items() for pair in equal(shape[axis], n)]
    node.require(builder, pairs, "the sizes of input and weights differ")
    extents = [expression(known.get(axis, n)) for axis, n in enumerate(shape)]
    node.inputs[0] = builder.emit(fitted(node.inputs[0], extents))


def batch_norm(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Make the channels known, and leave BatchNormalization to TVM."""
    if len(node.shape()) > 1:
        impose(builder, node, {1: node.shape(1)[0]})
    return None


def row_norm(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Make a row's extents known, and leave LayerNormalization or RMSNormalization to TVM."""
    rank, weights = len(node.shape()), node.shape(1)
    if len(weights) <= rank:
        impose(builder, node, dict(enumerate(weights, rank - len(weights))))
    return None
