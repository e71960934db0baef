"""ONNX's Flatten of any extents. TVM's importer infers one of them, which needs elements."""

from math import prod

from tvm import relax

from .extents import expression, plain
from .node import Node


def flatten(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert Flatten.

    Raises
    ------
    QuakeError
        For a tensor of unknown rank, and for an axis out of range.
    """
    shape, axis = node.shape(), node.attributes.get("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        raise node.refuse(f"an axis of {axis} for {len(shape)} dimensions")
    axis += len(shape) if axis < 0 else 0
    sizes = [plain(expression(prod(part))) for part in (shape[:axis], shape[axis:])]
    extents = relax.ShapeExpr([expression(n) for n in sizes])
    if 0 in [n for n in sizes if isinstance(n, int)]:  # TVM reads a 0 as "copy the extent"
        return relax.op.zeros(extents, node.dtype())
    return relax.op.reshape(node.inputs[0], extents)
