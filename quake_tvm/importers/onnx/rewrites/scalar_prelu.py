"""PRelu of a scalar, which has no axis for TVM's operator."""

import onnx
from onnx import TensorProto

from .graph import Graph


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit PRelu of a vector of one element."""
    x, slope = node.input
    if graph.rank(x) != 0:
        graph.keep(node)
        return
    one = graph.constant([1], TensorProto.INT64, "one")
    none = graph.constant([], TensorProto.INT64, "none")
    bent = graph.emit("PRelu", [graph.emit("Reshape", [n, one]) for n in (x, slope)])
    graph.emit("Reshape", [bent, none], node.output[0])
