"""Upsample and the Resize of opset 10, which is the same, as the Resize of opset 11."""

import onnx
from onnx import TensorProto

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Resize."""
    if node.op_type == "Resize" and graph.opset > 10:
        graph.keep(node)
        return
    given = attributes(node)
    if "scales" in given:
        scales = graph.constant(given["scales"], TensorProto.FLOAT, "scales")
    else:
        scales = node.input[1]
    graph.emit(
        "Resize",
        [node.input[0], "", scales],
        node.output[0],
        mode=given.get("mode", "nearest"),
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
