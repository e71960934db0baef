"""ONNX's Tile of extents or with repeats that vary. TVM converts what is constant."""

from tvm import relax

from ...kernels.tiled import tiled
from .extents import expression
from .node import Node


def tile(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Tile. Constant repeats of constant extents, and computed ones, are left to TVM.

    Raises
    ------
    QuakeError
        For a number of repeats that is not the number of dimensions.
    """
    repeats = node.numbers(1)
    if repeats is None:
        return None
    shape = node.shape()
    if all(isinstance(n, int) for n in (*shape, *repeats)):
        return None
    if len(repeats) != len(shape):
        raise node.refuse(f"{len(repeats)} repeats for {len(shape)} dimensions")
    if 0 in (*shape, *repeats):
        sizes = [expression(n) * k for n, k in zip(shape, repeats, strict=True)]
        return relax.op.zeros(relax.ShapeExpr(sizes), node.dtype())
    node.require(builder, [(0, n) for n in repeats], "a negative number of repeats")
    return tiled(builder, node.inputs[0], [expression(n) for n in repeats])
