"""ONNX's TopK with NaN above all numbers, as in ONNX Runtime, PyTorch and NumPy."""

import tvm
from tvm import relax

from ...kernels.order_keys import top
from .extents import Extent
from .node import Node


def top_k(builder: relax.BlockBuilder, node: Node) -> relax.Expr:
    """Convert TopK: values and their indices.

    Raises
    ------
    QuakeError
        For a number that depends on the values of the model's inputs, an axis out of range, and
        uint64.
    """
    shape = node.shape()
    axis = node.attributes.get("axis", -1)
    if not -len(shape) <= axis < len(shape):
        raise node.refuse(f"an axis of {axis} for {len(shape)} dimensions")
    k = _count(node)
    if isinstance(k, int) and k < 0:
        raise node.refuse(f"the first {k} elements")
    if not isinstance(k, int):
        within = [(0, k), (k, shape[axis])]
        node.require(builder, within, "the axis has fewer elements, or the number is negative")
    elif not k:
        none = relax.ShapeExpr([0 if i == axis % len(shape) else n for i, n in enumerate(shape)])
        return relax.Tuple([relax.op.zeros(none, d) for d in (node.dtype(), "int64")])
    largest = bool(node.attributes.get("largest", 1))
    return relax.Tuple(top(builder, node.inputs[0], k, axis, largest))


def _count(node: Node) -> Extent:
    """How many elements; an expression if it follows from the extents of the inputs."""
    numbers = node.numbers(1)
    if numbers is not None and len(numbers) == 1 and isinstance(numbers[0], tvm.ir.Expr):
        return numbers[0]
    return int(node.required(1).reshape(()))
