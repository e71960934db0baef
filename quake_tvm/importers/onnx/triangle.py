"""ONNX's Trilu with a diagonal far outside the matrix, which is a number of 64 bits."""

import tvm
from tvm import relax

from .node import Node

# TVM's kernel has a diagonal of 32 bits.
_FAR = 2**31 - 1


def trilu(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Bring a constant diagonal to the matrix, and leave the rest to TVM."""
    if isinstance(node.input(1), tvm.ir.GenericConst):
        rows, columns = (n if isinstance(n, int) else _FAR for n in node.shape()[-2:])
        k = min(max(int(node.required(1).item()), -rows), columns)
        node.inputs[1] = relax.const(k, "int64")
    return None
