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
        If the rank of an input or the width of the caches is unknown.
    """
    x, places, cos, sin = node.input
    given, rank, caches = attributes(node), graph.rank(x), graph.shape(cos)
    half = caches[1] if caches is not None and len(caches) == 2 else None
    if rank not in (3, 4) or half is None or graph.rank(places) not in (1, 2):
        raise QuakeError(
            "com.microsoft.RotaryEmbedding: the ranks of its input and of its positions and the "
            "caches' width must be known"
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
    if graph.rank(places) == 1:  # that of the first token; the others follow it
        following = graph.emit("Add", [places, graph.count_up(x, 1)])
        places = graph.emit("Unsqueeze", [following, _axis(graph, 0)])
    y = turn(graph, x, (cos, sin), places, half, bool(given.get("interleaved")))
    if rank == 3:
        graph.emit("Reshape", [y, graph.emit("Shape", [flat])], node.output[0])
    else:
        graph.emit("Transpose", [y], node.output[0], perm=[0, 2, 1, 3])


def turn(
    graph: Graph, x: str, tables: tuple[str, str], places: str, half: int, interleaved: bool
) -> str:
    """Emit a rotation of the first 2·half features of each head by the angles of its position.

    Parameters
    ----------
    graph : Graph
    x : str
        (batch, length, heads, features).
    tables : (str, str)
        The cosines and sines of all positions: (positions, half).
    places : str
        The positions: (batch, length) or (1, length).
    half : int
    interleaved : bool
        Whether the two parts of a feature are neighbours, and not half a head apart.
    """
    cos, sin = (_rows(graph, table, places) for table in tables)
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
        pairs = [graph.emit("Unsqueeze", [part, _axis(graph, -1)]) for part in parts]
        joined = graph.emit("Concat", pairs, axis=-1)
        shape = graph.constant([0, 0, 0, 2 * half], TensorProto.INT64, "shape")
        parts = [graph.emit("Reshape", [joined, shape])]
    output = graph.fresh("turned")
    graph.keep(helper.make_node("Concat", [*parts, rest], [output], axis=-1))
    return output


def _rows(graph: Graph, table: str, places: str) -> str:
    """(batch, length, 1, half): the table's rows of the positions."""
    return graph.emit("Unsqueeze", [graph.emit("Gather", [table, places]), _axis(graph, 2)])


def _axis(graph: Graph, axis: int) -> str:
    return graph.constant([axis], TensorProto.INT64, "axes")


def _mul(graph: Graph, a: str, b: str) -> str:
    return graph.emit("Mul", [a, b])


def _sliced(graph: Graph, x: str, start: int, end: int, step: int = 1) -> str:
    """A slice of the last dimension."""
    bounds = [graph.constant([n], TensorProto.INT64, "bound") for n in (start, end, -1, step)]
    return graph.emit("Slice", [x, *bounds])
