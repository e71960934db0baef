"""ONNX's Expand to a shape of extents that vary.

Two extents that are not known to be equal must be equal at run time, unless one of them is a
constant: a tensor whose extent may be 1 or not has no one shape.
"""

import tvm
import tvm_ffi
from tvm import relax, te, tirx

from .extents import Extent, expression, plain
from .node import Node


def expand(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Expand. Constant extents but 0 and shapes computed from data are left to TVM.

    Raises
    ------
    QuakeError
        For a shape that never fits.
    """
    wanted = node.numbers(1)
    if wanted is None or node.inputs[0].ty.shape is None:
        return None
    given = node.shape()
    if all(isinstance(n, int) and n for n in (*given, *wanted)):
        return None
    rank = max(len(given), len(wanted))
    ones = rank - len(given)
    pairs = zip([1] * ones + given, [1] * (rank - len(wanted)) + wanted, strict=True)
    shape, within = [], []
    for length, size in pairs:
        extent, needs = _expanded(node, length, size)
        shape.append(extent)
        within += needs
    node.require(builder, within, "the shapes do not fit")
    if any(isinstance(n, int) and n == 0 for n in shape):
        return relax.op.zeros(relax.ShapeExpr(shape), node.dtype())
    return spread(builder, node.inputs[0], shape)


def _expanded(
    node: Node, length: Extent, size: Extent
) -> tuple[Extent, list[tuple[Extent, Extent]]]:
    """The extent after, and conditions under which it is right."""
    if isinstance(length, int) and length == 1:
        return size, [(0, size)]
    if (isinstance(size, int) and size in (1, -1)) or node.extents.same(length, size):
        return length, []
    if isinstance(length, int) and isinstance(size, int):
        raise node.refuse(f"{length} elements along an axis of {size}")
    if isinstance(size, int):
        either = (length - 1) * (length - size)  # 0 if the extent is 1 or the size
        return size, [(either, 0), (0, either)]
    node.extents.fit(length, size)
    return length, [(length, size), (size, length)]


def spread(builder: relax.BlockBuilder, x: relax.Expr, shape: list[Extent]) -> relax.Expr:
    """A tensor broadcast to a shape, into which its extents fit."""
    target = [expression(n) for n in shape]
    fitting = zip(x.ty.shape, target[len(shape) - len(x.ty.shape) :], strict=True)
    if all(plain(n) == 1 or tvm_ffi.structural_equal(n, size) for n, size in fitting):
        return relax.op.broadcast_to(x, relax.ShapeExpr(shape))

    def spread_(x: te.Tensor, shape: list[tvm.ir.Expr]) -> te.Tensor:
        skipped = len(shape) - len(x.shape)

        def element(*at: tirx.Var) -> tvm.ir.Expr:
            return x(*(tirx.min(i, n - 1) for i, n in zip(at[skipped:], x.shape, strict=True)))

        return te.compute(shape, element, name="spread")

    return builder.call_te(spread_, x, target, primfunc_name_hint="spread")
