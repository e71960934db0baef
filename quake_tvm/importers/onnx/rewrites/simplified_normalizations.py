"""ONNX Runtime's norms without a mean (RMS norms), with or without a residual."""

import numpy as np
import onnx
from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph, attributes


def simplified(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit SimplifiedLayerNormalization: x/√(mean of x² + epsilon) times a weight.

    Raises
    ------
    QuakeError
        If the axes that make a row are unknown.
    """
    given, (x, scale) = attributes(node), node.input
    axis = given.get("axis", -1)
    if axis >= 0:
        rank = graph.rank(x)
        if rank is None:
            raise QuakeError(f"{node.op_type} along axis {axis}: the rank of {x!r} must be known")
        axis -= rank
    output, inverse = [*node.output, ""][:2]
    _norm(graph, x, scale, axis, given.get("epsilon", 1e-5), output, inverse)


def skip_simplified(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit SkipSimplifiedLayerNormalization: the norm of a sum."""
    x, skip, scale, bias = [*node.input, ""][:4]
    output, _, inverse, total = [*node.output, "", "", ""][:4]
    if bias:
        x = graph.emit("Add", [x, bias])
    total = graph.emit("Add", [x, skip], total)
    epsilon = attributes(node).get("epsilon", 1e-12)
    _norm(graph, total, scale, -1, epsilon, output, inverse)


def _norm(
    graph: Graph, x: str, scale: str, axis: int, epsilon: float, output: str, inverse: str
) -> None:
    axes = graph.constant(np.arange(axis, 0), TensorProto.INT64, "axes")
    mean = graph.emit("ReduceMean", [graph.emit("Mul", [x, x]), axes])
    guarded = graph.emit("Add", [mean, graph.constant(epsilon, graph.dtype(x), "epsilon")])
    inverse = graph.emit("Reciprocal", [graph.emit("Sqrt", [guarded])], inverse)
    graph.emit("Mul", [graph.emit("Mul", [x, inverse]), scale], output)
