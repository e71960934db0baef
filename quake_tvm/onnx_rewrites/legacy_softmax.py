"""Softmax, LogSoftmax and Hardmax before opset 13: all dimensions from the axis on are one row."""

import onnx
from onnx import TensorProto

from ..errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit it along one axis, between two reshapes if the row has several."""
    if graph.opset >= 13:
        graph.keep(node)
        return
    (x,), (y,) = node.input, node.output
    axis, rank = attributes(node).get("axis", 1), graph.rank(x)
    if rank is None:
        raise QuakeError(
            f"the rank of {x!r} is not known, and {node.op_type} of opset {graph.opset} goes by it:"
            " give the inputs' shapes, or export with opset 13 or later"
        )
    if axis in (-1, rank - 1):
        graph.emit(node.op_type, [x], y, axis=-1)
        return
    shape = graph.emit("Shape", [x])
    rows = graph.emit("Flatten", [x], axis=axis)
    along = graph.emit(node.op_type, [rows], axis=-1)
    if rank == 0:
        shape = graph.constant([], TensorProto.INT64, "shape")
    graph.emit("Reshape", [along, shape], y, allowzero=1)
