"""ONNX's operators with indices, which may be negative and then count from the end of an axis.

Negative indices are passed to ``quake_tvm.index``, which counts them from the end and refuses
indices out of range. TVM's importer would add extents computed at run time.
"""

import math
from typing import Any

import tvm
from tvm import relax

from ...kernels.index_check import Places, checked
from ...kernels.size_check import equal
from .node import Node


def gather(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Gather. Shapes and constants are left to TVM's importer."""
    data, index = node.inputs
    if not isinstance(data.ty, relax.TensorType) or not isinstance(index.ty, relax.TensorType):
        return None
    if all(isinstance(x, tvm.ir.GenericConst) for x in (data, index)):
        return None
    shape = node.shape()
    axis = node.attributes.get("axis", 0) % max(len(shape), 1)
    return relax.op.take(data, _held(builder, node, [shape[axis]]), axis)


def gather_elements(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert GatherElements."""
    shape = node.shape()
    axis = node.attributes.get("axis", 0) % len(shape)
    within = [pair for k, pair in enumerate(zip(node.shape(1), shape, strict=True)) if k != axis]
    index = _held(builder, node, [shape[axis]], within)
    return relax.op.gather_elements(node.inputs[0], index, axis)


def gather_nd(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert GatherND."""
    shape, counts = node.shape(), node.shape(1)
    batch = node.attributes.get("batch_dims", 0)
    if not isinstance(counts[-1], int):
        raise node.refuse("the number of coordinates of an index must be known")
    pairs = zip(counts[:batch], shape[:batch], strict=True)
    within = [pair for sizes in pairs for pair in equal(*sizes)]
    index = _held(builder, node, shape[batch : batch + counts[-1]], within)
    return relax.op.gather_nd(node.inputs[0], index, batch)


def scatter_elements(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert ScatterElements."""
    shape, counts, given = (node.shape(k) for k in range(3))
    axis = node.attributes.get("axis", 0) % len(shape)
    within = [pair for k, pair in enumerate(zip(counts, shape, strict=True)) if k != axis]
    within += [pair for sizes in zip(counts, given, strict=True) for pair in equal(*sizes)]
    index = _held(builder, node, [shape[axis]], within)
    data, _, updates = node.inputs
    return relax.op.scatter_elements(data, index, updates, axis, _reduction(node))


def scatter_nd(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert ScatterND."""
    shape, counts, given = (node.shape(k) for k in range(3))
    if not isinstance(counts[-1], int):
        raise node.refuse("the number of coordinates of an index must be known")
    wanted = [*counts[:-1], *shape[counts[-1] :]]
    within = [pair for sizes in zip(wanted, given, strict=True) for pair in equal(*sizes)]
    index = _held(builder, node, shape[: counts[-1]], within)
    data, _, updates = node.inputs
    if len(counts) > 2 and not all(isinstance(n, int) for n in counts):
        # TVM's kernel of places in several dynamic dimensions does not compile.
        number = math.prod(counts[:-1])
        index = relax.op.reshape(index, [number, counts[-1]])
        updates = relax.op.reshape(updates, [number, *shape[counts[-1] :]])
        index, updates = builder.normalize(index), builder.normalize(updates)
    return relax.op.scatter_nd(data, index, updates, _reduction(node))


def _held(
    builder: relax.BlockBuilder, node: Node, extents: list[Any], within: Any = ()
) -> relax.Expr:
    index = checked(node.inputs[1], extents, Places.ENDS, node.operator, within)
    return builder.normalize(index)


def _reduction(node: Node) -> str:
    reduction = node.attributes.get("reduction", "none")
    return "update" if reduction == "none" else reduction
