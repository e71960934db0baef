"""Operands whose extents must fit each other, where Relax does not see that they do.

An extent that is not known to equal the other must equal it at run time. Relax gives a result of
unequal extents no shape.
"""

import tvm_ffi
from tvm import relax, tirx

from ...kernels.size_check import equal
from .expand import spread
from .extents import Extent
from .node import Node

_PROBLEM = "the sizes of the operands differ; an extent that varies must not be broadcast"


def broadcast(builder: relax.BlockBuilder, node: Node) -> None:
    """Check an element-wise operator, which TVM's importer converts, and fit its operands."""
    _fit_all(builder, node, 1)


def matmul(builder: relax.BlockBuilder, node: Node) -> None:
    """Check MatMul, which TVM's importer converts, and fit the operands' batch dimensions."""
    _fit_all(builder, node, 3)


def prelu(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Fit PRelu's operands, and convert it if extents vary, since TVM's needs a known last one."""
    broadcast(builder, node)
    x, slope = node.inputs
    if all(isinstance(n, int) for n in node.shape()):
        return None
    bent = builder.emit(relax.op.multiply(x, slope))
    return relax.op.where(relax.op.less(x, relax.const(0, node.dtype())), bent, x)


def _fit_all(builder: relax.BlockBuilder, node: Node, first: int) -> None:
    """Fit the operands along all dimensions from this one on, counted from the last."""
    if not _are_tensors(node):
        return
    shapes = [node.shape(k) for k in range(len(node.inputs))]
    rank = max(len(s) for s in shapes)
    for axis in range(first, rank + 1):
        present = [k for k, s in enumerate(shapes) if len(s) >= axis and not _is_one(s[-axis])]
        _fit(builder, node, shapes, present, -axis)
    _apply(builder, node, shapes)


def concat(builder: relax.BlockBuilder, node: Node) -> None:
    """Check Concat, which TVM's importer converts, and fit its operands along the other axes."""
    if not _are_tensors(node):
        return
    shapes = [node.shape(k) for k in range(len(node.inputs))]
    rank = len(shapes[0])
    if any(len(s) != rank for s in shapes):
        raise node.refuse("operands of different ranks")
    for axis in range(rank):
        if axis != node.attributes["axis"] % rank:
            _fit(builder, node, shapes, list(range(len(shapes))), axis)
    _apply(builder, node, shapes)


def _are_tensors(node: Node) -> bool:
    """Whether all operands are tensors of known rank, and some extent varies."""
    types = [i.ty for i in node.inputs if i is not None]
    if not all(isinstance(t, relax.TensorType) and t.shape is not None for t in types):
        return False
    varying = (not isinstance(n, tirx.IntImm) for t in types for n in t.shape)
    return len(types) > 1 and any(varying)


def _is_one(extent: Extent) -> bool:
    return isinstance(extent, int) and extent == 1


def _fit(
    builder: relax.BlockBuilder, node: Node, shapes: list[list[Extent]], which: list[int], axis: int
) -> None:
    """Give the operands one extent along an axis, in ``shapes``."""
    constants = [shapes[k][axis] for k in which if isinstance(shapes[k][axis], int)]
    if not which or len(constants) == len(which):
        return
    wanted = constants[0] if constants else shapes[which[0]][axis]
    for k in which:
        extent = shapes[k][axis]
        if node.extents.same(extent, wanted):
            shapes[k][axis] = wanted
            continue
        node.extents.fit(extent, wanted)
        node.require(builder, equal(extent, wanted), _PROBLEM, k)
        shapes[k][axis] = wanted


def _apply(builder: relax.BlockBuilder, node: Node, shapes: list[list[Extent]]) -> None:
    for k, shape in enumerate(shapes):
        if not tvm_ffi.structural_equal(node.inputs[k].ty.shape, relax.ShapeExpr(shape)):
            node.inputs[k] = builder.emit(spread(builder, node.inputs[k], shape))
