"""ONNX's TopK with NaN above all numbers, as in ONNX Runtime, PyTorch and NumPy."""

from tvm import relax

from ...kernels.order_keys import top
from .node import Node


def top_k(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert TopK: values and their indices.

    Raises
    ------
    QuakeError
        For a number that is computed at run time, an axis out of range, and uint64.
    """
    x, shape = node.inputs[0], node.shape()
    axis = node.attributes.get("axis", -1)
    if not -len(shape) <= axis < len(shape):
        raise node.refuse(f"an axis of {axis} for {len(shape)} dimensions")
    k = int(node.required(1).reshape(()))
    if k < 0:
        raise node.refuse(f"the first {k} elements")
    if not k:
        none = relax.ShapeExpr([0 if i == axis % len(shape) else n for i, n in enumerate(shape)])
        return relax.Tuple([relax.op.zeros(none, d) for d in (node.dtype(), "int64")])
    largest = bool(node.attributes.get("largest", 1))
    return relax.Tuple(top(builder, x, k, axis, largest))
