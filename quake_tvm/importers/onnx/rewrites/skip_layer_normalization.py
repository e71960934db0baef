"""com.microsoft.SkipLayerNormalization as additions and a LayerNormalization."""

import onnx

from .graph import Graph, attributes
from .layer_normalization import statistics


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard."""
    x, skip, gamma, beta, bias = [*node.input, "", ""][:5]
    output, mean, inverse, total = [*node.output, "", "", ""][:4]
    epsilon = attributes(node).get("epsilon", 1e-12)
    if bias:
        x = graph.emit("Add", [x, bias])
    total = graph.emit("Add", [x, skip], total)
    weights = [gamma, beta] if beta else [gamma]
    graph.emit("LayerNormalization", [total, *weights], output, axis=-1, epsilon=epsilon)
    statistics(graph, total, -1, epsilon, mean, inverse)
