"""Celu of a scalar, which the standard's function body would turn into a vector."""

import onnx
from onnx import TensorProto

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit alpha * Elu(x / alpha); for other types than float32 the nodes that compute Elu."""
    (x,) = node.input
    dtype, output = graph.dtype(x), node.output[0]
    alpha = graph.constant(attributes(node).get("alpha", 1.0), dtype, "alpha")
    scaled = graph.emit("Div", [x, alpha])
    if dtype == TensorProto.FLOAT:  # the importer's Elu has float32 constants
        graph.emit("Mul", [alpha, graph.emit("Elu", [scaled], alpha=1.0)], output)
        return
    one, zero = (graph.constant(n, dtype, "number") for n in (1, 0))
    bent = graph.emit("Mul", [alpha, graph.emit("Sub", [graph.emit("Exp", [scaled]), one])])
    below = graph.emit("Less", [x, zero])
    graph.emit("Where", [below, bent, x], output)
