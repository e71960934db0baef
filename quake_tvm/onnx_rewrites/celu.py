"""Celu by Elu: a scalar stays one, which it does not by the standard's function."""

import onnx

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit alpha * Elu(x / alpha)."""
    (x,) = node.input
    alpha = graph.constant(attributes(node).get("alpha", 1.0), graph.dtype(x), "alpha")
    bent = graph.emit("Elu", [graph.emit("Div", [x, alpha])], alpha=1.0)
    graph.emit("Mul", [alpha, bent], node.output[0])
