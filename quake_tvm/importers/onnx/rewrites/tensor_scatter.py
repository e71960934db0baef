"""TensorScatter as ScatterElements: rows of a cache are replaced from an index on."""

import onnx
from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard. Raises QuakeError for a cache of unknown rank."""
    past, update, starts = [*node.input, ""][:3]
    given, rank = attributes(node), graph.rank(past)
    if rank is None:
        raise QuakeError(f"TensorScatter: the rank of {past!r} must be known")
    axis = given.get("axis", -2) % rank
    places = graph.count_up(update, axis)
    others = [k for k in range(1, rank) if k != axis]
    if starts:
        column = graph.emit("Unsqueeze", [starts, _axes(graph, [1])])
        places = graph.emit("Add", [column, places])
        if given.get("mode") == "circular":
            places = graph.emit("Mod", [places, graph.extent(past, axis)])
    else:
        places = graph.emit("Unsqueeze", [places, _axes(graph, [0])])
    places = graph.emit("Unsqueeze", [places, _axes(graph, others)]) if others else places
    rows = graph.emit("Expand", [places, graph.emit("Shape", [update])])
    graph.emit("ScatterElements", [past, rows, update], node.output[0], axis=axis)


def _axes(graph: Graph, axes: list[int]) -> str:
    return graph.constant(axes, TensorProto.INT64, "axes")
