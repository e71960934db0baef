"""Dropout in inference: the input, and a mask that drops nothing."""

import onnx
from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the input, and the mask if it is used.

    Raises
    ------
    QuakeError
        If the node may train, and for a mask that the standard does not define.
    """
    training = node.input[2] if len(node.input) > 2 else ""
    if training:
        value = graph.constant_value(training)
        if value is None or value.any():
            raise QuakeError(
                "Dropout that trains is random: set its input training_mode to a constant false"
            )
    graph.emit("Identity", [node.input[0]], node.output[0])
    mask = node.output[1] if len(node.output) > 1 else ""
    if mask in graph.used:
        if graph.opset < 12:
            raise QuakeError("the mask of Dropout is not defined before opset 12: do not read it")
        true = graph.constant(True, TensorProto.BOOL, "true")
        graph.emit("Expand", [true, graph.emit("Shape", [node.input[0]])], mask)
