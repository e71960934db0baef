"""ONNX's Squeeze of an axis of symbolic extent, which must be 1 when the model runs."""

from tvm import relax

from ...kernels.size_check import equal
from .extents import expression
from .node import Node


def squeeze(builder: relax.BlockBuilder, node: Node) -> relax.Expr | None:
    """Convert Squeeze with axes whose extents are not known. TVM converts all others.

    Raises
    ------
    QuakeError
        For axes that are computed at run time, and for symbolic extents if no axes are given.
    """
    given = node.attributes.get("axes") if len(node.inputs) < 2 else node.constant(1)
    if node.inputs[0].ty.shape is None:
        return None
    shape = node.shape()
    if given is None:
        unknown = [axis for axis, n in enumerate(shape) if not isinstance(n, int)]
        if unknown:
            raise node.refuse(
                f"without axes, the size of axis {unknown[0]} decides whether it is dropped: list "
                "the axes, or give shapes for the model's inputs"
            )
        return None
    axes = {int(axis) % len(shape) for axis in given}
    varying = [shape[axis] for axis in axes if not isinstance(shape[axis], int)]
    if not varying:
        return None
    fits = [pair for extent in varying for pair in equal(extent, 1)]
    node.require(builder, fits, "an axis has more than one element or none")
    rest = [expression(n) for axis, n in enumerate(shape) if axis not in axes]
    return relax.op.reshape(node.inputs[0], relax.ShapeExpr(rest))
