"""com.microsoft.CDist: the distances between the rows of two matrices."""

import onnx
from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit sums of squared differences, and their roots. Raises QuakeError for other metrics."""
    metric = attributes(node).get("metric", "sqeuclidean")
    if metric not in ("sqeuclidean", "euclidean"):
        raise QuakeError(
            f"com.microsoft.CDist of the metric {metric} is not supported: use sqeuclidean"
        )
    axes = [graph.constant([k], TensorProto.INT64, "axis") for k in (0, 1, 2)]
    a, b = (graph.emit("Unsqueeze", [x, axes[1 - k]]) for k, x in enumerate(node.input))
    squares = metric == "sqeuclidean"
    operator = "ReduceSumSquare" if squares else "ReduceL2"
    difference = graph.emit("Sub", [a, b])
    graph.emit(operator, [difference, axes[2]], node.output[0], keepdims=0)
