"""ONNX's Tile with repeats that vary with the extents, which TVM cannot convert."""

import tvm
from tvm import relax, te, tirx

from .extents import expression
from .node import Node


def tile(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Tile. Constant repeats, and those computed from data, are left to TVM.

    Raises
    ------
    QuakeError
        For a number of repeats that is not the number of dimensions.
    """
    repeats = node.numbers(1)
    if repeats is None or all(isinstance(n, int) for n in repeats):
        return None
    shape = node.shape()
    if len(repeats) != len(shape):
        raise node.refuse(f"{len(repeats)} repeats for {len(shape)} dimensions")
    node.require(builder, [(0, n) for n in repeats], "a negative number of repeats")

    def tiled(x: te.Tensor, shape: list[tvm.ir.Expr]) -> te.Tensor:
        def element(*at: tirx.Var) -> tvm.ir.Expr:
            return x(*(i % n for i, n in zip(at, x.shape, strict=True)))

        return te.compute(shape, element, name="tiled")

    extents = (node.extents.simplify(n * k) for n, k in zip(shape, repeats, strict=True))
    target = [expression(n) for n in extents]
    return builder.call_te(tiled, node.inputs[0], target, primfunc_name_hint="tile")
