"""Celu, Elu and Selu. The importer's Elu and Selu have float32 constants, whatever the type.

The standard's function body of Celu would turn a scalar into a vector.
"""

import onnx
from onnx import TensorProto

from .graph import Graph, attributes

_SELU = {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}


def celu(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit alpha * Elu(x / alpha); for other types than float32 the nodes that compute Elu."""
    (x,) = node.input
    dtype, output = graph.dtype(x), node.output[0]
    value = attributes(node).get("alpha", 1.0)
    alpha = graph.constant(value, dtype, "alpha")
    scaled = graph.emit("Div", [x, alpha])
    if dtype == TensorProto.FLOAT:
        graph.emit("Mul", [alpha, graph.emit("Elu", [scaled], alpha=1.0)], output)
    else:
        _bent(graph, x, scaled, value, output)


def elu(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Elu; for other types than float32 the nodes that compute it."""
    (x,) = node.input
    if graph.dtype(x) == TensorProto.FLOAT:
        graph.keep(node)
    else:
        _bent(graph, x, x, attributes(node).get("alpha", 1.0), node.output[0])


def selu(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Selu; for other types than float32 the nodes that compute it."""
    (x,), given = node.input, _SELU | attributes(node)
    if graph.dtype(x) == TensorProto.FLOAT:
        graph.keep(node)
        return
    bent = _bent(graph, x, x, given["alpha"])
    gamma = graph.constant(given["gamma"], graph.dtype(x), "gamma")
    graph.emit("Mul", [bent, gamma], node.output[0])


def _bent(graph: Graph, x: str, scaled: str, alpha: float, output: str = "") -> str:
    """Emit x, and alpha * (exp(scaled) - 1) where x is negative."""
    one, zero, factor = (graph.constant(n, graph.dtype(x), "number") for n in (1, 0, alpha))
    bent = graph.emit("Mul", [factor, graph.emit("Sub", [graph.emit("Exp", [scaled]), one])])
    return graph.emit("Where", [graph.emit("Less", [x, zero]), bent, x], output)
