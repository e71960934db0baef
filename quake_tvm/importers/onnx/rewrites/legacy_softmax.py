"""Softmax, LogSoftmax and Hardmax before opset 13: a row has all dimensions from the axis on."""

import onnx

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the operator along one axis, between two reshapes if a row has several dimensions."""
    if graph.opset >= 13:
        graph.keep(node)
        return
    (x,), (y,) = node.input, node.output
    axis, rank = attributes(node).get("axis", 1), graph.rank(x)
    if axis == -1 or (rank and axis == rank - 1):
        graph.emit(node.op_type, [x], y, axis=-1)
        return
    rows = graph.emit("Flatten", [x], axis=axis)
    along = graph.emit(node.op_type, [rows], axis=-1)
    graph.emit("Reshape", [along, graph.emit("Shape", [x])], y, allowzero=1)
