"""ThresholdedRelu as a Where; the importer multiplies by 0, which makes NaN of -inf."""

import onnx

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit x where it is above alpha, and 0 elsewhere."""
    (x,) = node.input
    dtype = graph.dtype(x)
    alpha = graph.constant(attributes(node).get("alpha", 1.0), dtype, "alpha")
    above = graph.emit("Greater", [x, alpha])
    graph.emit("Where", [above, x, graph.constant(0, dtype, "zero")], node.output[0])
