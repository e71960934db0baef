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
        If the rank is unknown and needed.
    """
    indices, depth, values = node.input
    axis = attributes(node).get("axis", -1)
    known, rank = graph.constant_value(depth), graph.rank(indices)
    if rank is None and (axis < -1 or (axis >= 0 and known is None)):
        raise QuakeError(
            f"OneHot along axis {axis} for {indices!r}, whose rank is not known: count the axis "
            f"from the {'first' if axis < 0 else 'last'}"
        )
    if axis < -1 and rank is not None:
        axis += rank + 1
    if known is not None:
        depth = graph.constant(known.reshape(()), TensorProto.INT64, "depth")
    if graph.dtype(indices) != TensorProto.INT64:
        indices = graph.emit("Cast", [indices], to=TensorProto.INT64)
    if known is not None:
        truth = graph.constant([0, 1], TensorProto.INT64, "truth")
        hot = graph.emit("OneHot", [indices, depth, truth], axis=axis)
    else:
        hot = _of_any_depth(graph, indices, depth, axis)
    off, on = (
        graph.emit("Gather", [values, graph.constant(k, TensorProto.INT64, "index")])
        for k in (0, 1)
    )
    graph.emit("Where", [graph.emit("Cast", [hot], to=TensorProto.BOOL), on, off], node.output[0])


def _of_any_depth(graph: Graph, indices: str, depth: str, axis: int) -> str:
    """OneHot of 0 and 1 for a depth that is not constant: a comparison with all its numbers."""
    zero, one = (graph.constant(k, TensorProto.INT64, "number") for k in (0, 1))
    scalar = graph.constant([], TensorProto.INT64, "scalar")
    depth = graph.emit("Reshape", [graph.emit("Cast", [depth], to=TensorProto.INT64), scalar])
    every = graph.emit("Range", [zero, depth, one])
    behind = 0 if axis == -1 else (graph.rank(indices) or 0) - axis
    if behind:
        places = graph.constant(list(range(1, behind + 1)), TensorProto.INT64, "places")
        every = graph.emit("Unsqueeze", [every, places])
    at = graph.emit("Unsqueeze", [indices, graph.constant([axis], TensorProto.INT64, "axis")])
    counted = graph.emit("Add", [at, depth])
    at = graph.emit("Where", [graph.emit("Less", [at, zero]), counted, at])
    return graph.emit("Equal", [at, every])
