"""Softmax, LogSoftmax and Hardmax before opset 13: a row has all dimensions from the axis on."""

import onnx

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the operator along one axis, between two reshapes if a row has several dimensions."""
    if graph.opset >= 13:
        graph.keep(node)
        return
    axis = attributes(node).get("axis", 1)
    along(graph, node.op_type, node.input[0], axis, graph.opset, node.output[0])


def along(graph: Graph, operator: str, x: str, axis: int, opset: int, output: str = "") -> str:
    """Emit the operator as an opset has it.

    Parameters
    ----------
    graph : Graph
    operator : str
    x : str
    axis, opset : int
    output : str

    Returns
    -------
    str
        The output's name.
    """
    rank = graph.rank(x)
    if opset >= 13 or axis == -1 or (rank and axis == rank - 1):
        return graph.emit(operator, [x], output, axis=axis)
    rows = graph.emit("Flatten", [x], axis=axis)
    made = graph.emit(operator, [rows], axis=-1)
    return graph.emit("Reshape", [made, graph.emit("Shape", [x])], output, allowzero=1)
