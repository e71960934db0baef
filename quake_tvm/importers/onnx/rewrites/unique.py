"""Unique over all elements, flattened first, since TVM expects one dimension."""

import onnx
from onnx import TensorProto, helper

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node, with a flattened input if it has no axis."""
    given = attributes(node)
    if "axis" not in given:
        row = graph.constant([-1], TensorProto.INT64, "row")
        flat = graph.emit("Reshape", [node.input[0], row])
        node = helper.make_node("Unique", [flat], node.output, node.name, **given)
    graph.keep(node)
