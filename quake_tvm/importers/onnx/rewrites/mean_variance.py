"""MeanVarianceNormalization with the variance as a mean of squares, which is never negative.

The importer and the standard's function subtract the square of the mean. Then rounding can make NaN
from a row of equal elements.
"""

import onnx
from onnx import TensorProto

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit (x - mean) / (standard deviation + 1e-9)."""
    (x,) = node.input
    given = attributes(node).get("axes", [0, 2, 3])
    axes = graph.constant(list(given), TensorProto.INT64, "axes")
    centred = graph.emit("Sub", [x, graph.emit("ReduceMean", [x, axes])])
    variance = graph.emit("ReduceMean", [graph.emit("Mul", [centred, centred]), axes])
    epsilon = graph.constant(1e-9, graph.dtype(x), "epsilon")
    guarded = graph.emit("Add", [graph.emit("Sqrt", [variance]), epsilon])
    graph.emit("Div", [centred, guarded], node.output[0])
