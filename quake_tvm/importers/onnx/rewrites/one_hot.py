"""OneHot with any two values; TVM's operator returns the widest type."""

import onnx
from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit OneHot of 0 and 1, and a Where between the two values.

    Raises
    ------
    QuakeError
        If the axis is counted from the last and the rank is unknown.
    """
    indices, depth, values = node.input
    axis = attributes(node).get("axis", -1)
    if axis < -1:
        rank = graph.rank(indices)
        if rank is None:
            raise QuakeError(
                f"OneHot along axis {axis} for {indices!r}, whose rank is not known: count the "
                "axis from the first"
            )
        axis += rank + 1
    known = graph.constant_value(depth)
    if known is not None:
        depth = graph.constant(known.reshape(()), TensorProto.INT64, "depth")
    if graph.dtype(indices) != TensorProto.INT64:
        indices = graph.emit("Cast", [indices], to=TensorProto.INT64)
    truth = graph.constant([0, 1], TensorProto.INT64, "truth")
    hot = graph.emit("OneHot", [indices, depth, truth], axis=axis)
    off, on = (
        graph.emit("Gather", [values, graph.constant(k, TensorProto.INT64, "index")])
        for k in (0, 1)
    )
    graph.emit("Where", [graph.emit("Cast", [hot], to=TensorProto.BOOL), on, off], node.output[0])
