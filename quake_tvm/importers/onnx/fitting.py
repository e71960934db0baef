"""Operands whose extents must fit each other, where Relax does not see that they do.

An extent that is not known to equal the other must equal it at run time. Relax gives a result of
unequal extents no shape. Known extents that differ are refused.
"""

import tvm_ffi
from tvm import relax

from ...kernels.fitted import fitted
from ...kernels.size_check import equal
from .extents import Extent, expression
from .known_extents import impose
from .node import Node
from .nodes import DoesNotFitError

_PROBLEM = "the sizes of the operands differ; an extent that varies must not be broadcast"


def broadcast(builder: relax.BlockBuilder, node: Node) -> None:
    """Check an element-wise operator, which TVM's importer converts, and fit its operands."""
    _fit_all(builder, node, 1)


def matmul(builder: relax.BlockBuilder, node: Node) -> None:
    """Check MatMul, which TVM's importer converts, and fit the operands' batch dimensions."""
    if _have_shapes(node):
        left, right = node.shape(0), node.shape(1)
        summed = left[-1:] + right[-2:-1] if len(right) > 1 else left[-1:] + right
        if differ(summed):
            raise misfit(node, [left, right])
    _fit_all(builder, node, 3)


def gemm(builder: relax.BlockBuilder, node: Node) -> None:
    """Check Gemm, which TVM's importer converts, and make rows known that the summand has."""
    if _have_shapes(node):
        left, right = node.shape(0), node.shape(1)
        columns = left[0 if node.attributes.get("transA") else 1]
        if differ([columns, right[1 if node.attributes.get("transB") else 0]]):
            raise misfit(node, [left, right])
        summand = node.shape(2) if node.input(2) is not None else []
        if len(summand) == 2 and not _is_one(summand[0]):
            impose(builder, node, {1 if node.attributes.get("transA") else 0: summand[0]})


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
    if not _have_shapes(node):
        return
    shapes = [node.shape(k) for k in range(len(node.inputs))]
    rank = max(len(s) for s in shapes)
    for axis in range(first, rank + 1):
        present = [k for k, s in enumerate(shapes) if len(s) >= axis and not _is_one(s[-axis])]
        _fit(builder, node, shapes, present, -axis)
    _apply(builder, node, shapes)


def concat(builder: relax.BlockBuilder, node: Node) -> None:
    """Check Concat, which TVM's importer converts, and fit its operands along the other axes."""
    if not _have_shapes(node):
        return
    shapes = [node.shape(k) for k in range(len(node.inputs))]
    rank = len(shapes[0])
    if any(len(s) != rank for s in shapes):
        raise node.refuse("operands of different ranks")
    for axis in range(rank):
        if axis != node.attributes["axis"] % rank:
            _fit(builder, node, shapes, list(range(len(shapes))), axis)
    _apply(builder, node, shapes)


def _have_shapes(node: Node) -> bool:
    """Whether there are several operands, all of them tensors of known rank."""
    types = [i.ty for i in node.inputs if i is not None]
    tensors = all(isinstance(t, relax.TensorType) and t.shape is not None for t in types)
    return tensors and len(types) > 1


def differ(extents: list[Extent]) -> bool:
    """Whether extents differ that are known."""
    return len({n for n in extents if isinstance(n, int)}) > 1


def misfit(node: Node, shapes: list[list[Extent]]) -> DoesNotFitError:
    """The error for operands of these shapes."""
    texts = (f"({', '.join(map(str, shape))})" for shape in shapes)
    return DoesNotFitError(f"{node.operator}: operands of {' and '.join(texts)} do not fit")


def _is_one(extent: Extent) -> bool:
    return isinstance(extent, int) and extent == 1


def _fit(
    builder: relax.BlockBuilder, node: Node, shapes: list[list[Extent]], which: list[int], axis: int
) -> None:
    """Give the operands one extent along an axis, in ``shapes``."""
    constants = [shapes[k][axis] for k in which if isinstance(shapes[k][axis], int)]
    if differ(constants):
        raise misfit(node, shapes)
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
            node.inputs[k] = builder.emit(fitted(node.inputs[k], [expression(n) for n in shape]))
