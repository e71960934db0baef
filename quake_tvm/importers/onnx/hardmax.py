"""ONNX's Hardmax as a comparison of places: TVM's one-hot needs a row of known length."""

from tvm import relax

from .extents import expression
from .node import Node


def hardmax(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert Hardmax: 1 at the first maximum of each row, and 0 elsewhere.

    Raises
    ------
    QuakeError
        For an axis out of range.
    """
    x, shape = node.inputs[0], node.shape()
    axis = node.attributes.get("axis", -1)
    if not -len(shape) <= axis < len(shape):
        raise node.refuse(f"an axis of {axis} for {len(shape)} dimensions")
    axis %= len(shape)
    first = builder.emit(relax.op.argmax(x, axis, keepdims=True))
    length = expression(shape[axis])
    places = builder.emit(relax.op.arange(0, length, 1, "int64"))
    along = relax.ShapeExpr([length, *(1 for _ in shape[axis + 1 :])])
    places = builder.emit(relax.op.reshape(places, along))
    return relax.op.astype(builder.emit(relax.op.equal(first, places)), node.dtype())
