"""Celu of a scalar: the standard's function body would make it a vector."""

import onnx
from onnx import TensorProto

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit alpha * Elu(x / alpha), or for other types than float32 what that is made of."""
    (x,) = node.input
    dtype, output = graph.dtype(x), node.output[0]
    alpha = graph.constant(attributes(node).get("alpha", 1.0), dtype, "alpha")
    scaled = graph.emit("Div", [x, alpha])
    if dtype == TensorProto.FLOAT:  # the importer's Elu has constants of float32
        graph.emit("Mul", [alpha, graph.emit("Elu", [scaled], alpha=1.0)], output)
        return
    one, zero = (graph.constant(n, dtype, "number") for n in (1, 0))
    bent = graph.emit("Mul", [alpha, graph.emit("Sub", [graph.emit("Exp", [scaled]), one])])
    below = graph.emit("Less", [x, zero])
    graph.emit("Where", [below, bent, x], output)
