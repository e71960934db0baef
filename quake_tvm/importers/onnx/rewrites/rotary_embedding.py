"""com.microsoft.RotaryEmbedding as slices and products."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard.

    Raises
    ------
    QuakeError
        If the rank of the input or the width of the caches is unknown.
    """
    x, places, cos, sin = node.input
    given, rank, caches = attributes(node), graph.rank(x), graph.shape(cos)
    half = caches[1] if caches is not None and len(caches) == 2 else None
    if rank not in (3, 4) or half is None:
        raise QuakeError(
            "com.microsoft.RotaryEmbedding: the input's rank and the caches' width must be known"
        )
    heads, turned = given.get("num_heads", 0), given.get("rotary_embedding_dim", 0)
    if rank == 3:
        if not heads and turned:
            raise QuakeError("com.microsoft.RotaryEmbedding: rotary_embedding_dim needs num_heads")
        shape = [0, 0, heads or -1, 2 * half if not heads else -1]
        shape_name = graph.constant(shape, TensorProto.INT64, "shape")
        flat, x = x, graph.emit("Reshape", [x, shape_name])
    else:
        x = graph.emit("Transpose", [x], perm=[0, 2, 1, 3])
    cosines, sines = (_row(graph, table, places) for table in (cos, sin))
    y = _turn(graph, x, cosines, sines, half, bool(given.get("interleaved")))
    if rank == 3:
        graph.emit("Reshape", [y, graph.emit("Shape", [flat])], node.output[0])
    else:
        graph.emit("Transpose", [y], node.output[0], perm=[0, 2, 1, 3])


def _row(graph: Graph, table: str, places: str) -> str:
    """(batch, length, 1, half): the table's rows of the positions.

    One position is that of the first token; the others follow it.
    """
    if graph.rank(places) == 1:
        raise QuakeError(
            "com.microsoft.RotaryEmbedding with one position for all rows is not supported: give "
            "positions of the shape (batch, length)"
        )
    rows = graph.emit("Gather", [table, places])
    return graph.emit("Unsqueeze", [rows, graph.constant([2], TensorProto.INT64, "axes")])


def _turn(graph: Graph, x: str, cos: str, sin: str, half: int, interleaved: bool) -> str:
    """(batch, length, heads, features) with the first 2·half features turned."""
    turned = _sliced(graph, x, 0, 2 * half)
    rest = _sliced(graph, x, 2 * half, np.iinfo(np.int64).max)
    if interleaved:
        first, second = (_sliced(graph, turned, k, 2 * half, 2) for k in (0, 1))
    else:
        first, second = _sliced(graph, turned, 0, half), _sliced(graph, turned, half, 2 * half)
    real = graph.emit("Sub", [_mul(graph, first, cos), _mul(graph, second, sin)])
    imaginary = graph.emit("Add", [_mul(graph, first, sin), _mul(graph, second, cos)])
    parts = [real, imaginary]
    if interleaved:
        axes = graph.constant([-1], TensorProto.INT64, "axes")
        pairs = [graph.emit("Unsqueeze", [part, axes]) for part in parts]
        joined = graph.emit("Concat", pairs, axis=-1)
        shape = graph.constant([0, 0, 0, 2 * half], TensorProto.INT64, "shape")
        parts = [graph.emit("Reshape", [joined, shape])]
    output = graph.fresh("turned")
    graph.keep(helper.make_node("Concat", [*parts, rest], [output], axis=-1))
    return output


def _mul(graph: Graph, a: str, b: str) -> str:
    return graph.emit("Mul", [a, b])


def _sliced(graph: Graph, x: str, start: int, end: int, step: int = 1) -> str:
    """A slice of the last dimension."""
    bounds = [graph.constant([n], TensorProto.INT64, "bound") for n in (start, end, -1, step)]
    return graph.emit("Slice", [x, *bounds])
