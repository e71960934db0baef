"""com.microsoft.Attention, replaced by products, masks and a softmax.

TVM's importer supports only the unmasked form with static shapes, and refuses some attributes even
at their default values.
"""

import math

import numpy as np
import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from .graph import Graph, attributes

_READ = ("num_heads", "qkv_hidden_sizes")
# What ONNX Runtime adds to masked scores, unless the node says otherwise.
_LEFT_OUT = -10000.0
# What ONNX Runtime adds to the scores of later positions, with `unidirectional`.
_LOWEST = float(np.finfo(np.float32).min)


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node with the attributes that the importer reads, or the nodes that compute it.

    Raises
    ------
    QuakeError
        For weights or masks of an unsupported shape.
    """
    given = attributes(node)
    inputs = [*node.input, *[""] * (6 - len(node.input))]
    x, weights, _, mask, _, scores_bias = inputs[:6]
    shape = graph.shape(x)
    static = shape is not None and None not in shape
    plain = not (mask or scores_bias or given.get("scale") or given.get("unidirectional"))
    if plain and static:
        read = {name: value for name, value in given.items() if name in _READ}
        graph.keep(
            helper.make_node(
                "Attention", node.input, node.output, node.name, domain=node.domain, **read
            )
        )
        return
    length = shape[1] if shape is not None and len(shape) == 3 else None
    batch = shape[0] if shape is not None else None
    sizes = _sizes(graph, weights, given)
    q, k, v = _heads(graph, inputs[:3], sizes, given["num_heads"])
    scale = given.get("scale") or 1 / math.sqrt(sizes[0] // given["num_heads"])
    dtype = graph.dtype(x)
    scores = graph.emit("MatMul", [q, k])
    scores = graph.emit("Mul", [scores, graph.constant(scale, dtype, "scale")])
    added = [scores_bias] if scores_bias else []
    if mask:
        left_out = given.get("mask_filter_value", _LEFT_OUT)
        added.append(_mask(graph, mask, x, batch, length, left_out))
    if given.get("unidirectional"):
        added.append(_after(graph, x, length))
    for term in added:
        scores = graph.emit("Add", [scores, term])
    y = graph.emit("MatMul", [graph.emit("Softmax", [scores], axis=-1), v])
    y = graph.emit("Transpose", [y], perm=[0, 2, 1, 3])
    ends = graph.constant([0, 0, sizes[2]], TensorProto.INT64, "shape")
    graph.emit("Reshape", [y, ends], node.output[0])


def _sizes(graph: Graph, weights: str, given: dict) -> list[int]:
    """The numbers of columns of queries, keys and values."""
    shape = graph.shape(weights)
    rows, columns = shape if shape is not None and len(shape) == 2 else (None, None)
    if rows is None or columns is None:
        raise QuakeError(f"com.microsoft.Attention: the shape of its weights {weights!r} is open")
    sizes = list(given.get("qkv_hidden_sizes") or [columns // 3] * 3)
    heads = given.get("num_heads", 0)
    fits = len(sizes) == 3 and sum(sizes) == columns and sizes[0] == sizes[1]
    if heads < 1 or not fits or any(size % heads for size in sizes):
        raise QuakeError(
            f"com.microsoft.Attention: {columns} columns of weights do not make queries, keys "
            f"and values for {heads} heads"
        )
    return sizes


def _heads(graph: Graph, inputs: list[str], sizes: list[int], heads: int) -> list[str]:
    """Queries, keys (transposed) and values, split into heads."""
    x, weights, bias = inputs
    all_of_them = graph.emit("MatMul", [x, weights])
    if bias:
        all_of_them = graph.emit("Add", [all_of_them, bias])
    parts = [graph.fresh(name) for name in ("queries", "keys", "values")]
    split = graph.constant(sizes, TensorProto.INT64, "sizes")
    graph.keep(helper.make_node("Split", [all_of_them, split], parts, axis=-1))
    found = []
    orders = [0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]
    for part, size, order in zip(parts, sizes, orders, strict=True):
        shape = graph.constant([0, 0, heads, size // heads], TensorProto.INT64, "shape")
        found.append(graph.emit("Transpose", [graph.emit("Reshape", [part, shape])], perm=order))
    return found


def _mask(
    graph: Graph, mask: str, x: str, batch: int | None, length: int | None, left_out: float
) -> str:
    """The term that a mask adds to the scores: from lengths, starts and lengths, or mask values."""
    shape = graph.shape(mask)
    rank = None if shape is None else len(shape)
    if rank not in (1, 2, 3):
        raise QuakeError(f"com.microsoft.Attention: a mask {mask!r} of rank {rank}")
    if rank == 1:
        terms = _by_length(graph, mask, x, batch, length, left_out)
        return graph.emit("Unsqueeze", [terms, _axes(graph, 1, 2)])
    zero = graph.constant(0, graph.dtype(mask), "zero")
    seen = graph.emit("Greater", [mask, zero])
    terms = _terms(graph, seen, x, left_out)
    return graph.emit("Unsqueeze", [terms, _axes(graph, *((1, 2) if rank == 2 else (1,)))])


def _by_length(
    graph: Graph, mask: str, x: str, batch: int | None, length: int | None, left_out: float
) -> str:
    """The term of a mask of lengths: keys before the length, from the start on if given."""
    (count,) = graph.shape(mask) or [None]
    starts = count is not None and batch is not None and count == 2 * batch and batch > 0
    if not starts and None not in (count, batch) and count != batch:
        raise QuakeError(f"com.microsoft.Attention: a mask of {count} lengths for {batch} rows")
    places = _places(graph, x, length, graph.dtype(mask))
    last = graph.emit("Unsqueeze", [mask, _axes(graph, 1)])
    if not starts:
        return _terms(graph, graph.emit("Less", [places, last]), x, left_out)
    parts = [graph.fresh(name) for name in ("ends", "starts")]
    sizes = graph.constant([batch, batch], TensorProto.INT64, "sizes")
    graph.keep(helper.make_node("Split", [last, sizes], parts, axis=0))
    before_end = graph.emit("Less", [places, parts[0]])
    from_start = graph.emit("GreaterOrEqual", [places, parts[1]])
    return _terms(graph, graph.emit("And", [before_end, from_start]), x, left_out)


def _after(graph: Graph, x: str, length: int | None) -> str:
    """The term that masks the keys after the query."""
    keys = _places(graph, x, length, TensorProto.INT64)
    queries = graph.emit("Unsqueeze", [keys, _axes(graph, 1)])
    return _terms(graph, graph.emit("LessOrEqual", [keys, queries]), x, _LOWEST)


def _places(graph: Graph, x: str, length: int | None, dtype: int) -> str:
    """0, 1, 2, … for the keys."""
    if length is not None:
        return graph.constant(np.arange(length), dtype, "places")
    count = graph.emit("Squeeze", [graph.emit("Shape", [x], start=1, end=2)])
    ends = [graph.constant(n, TensorProto.INT64, "end") for n in (0, 1)]
    places = graph.emit("Range", [ends[0], count, ends[1]])
    return places if dtype == TensorProto.INT64 else graph.emit("Cast", [places], to=dtype)


def _terms(graph: Graph, seen: str, x: str, left_out: float) -> str:
    zero, low = (graph.constant(n, graph.dtype(x), "term") for n in (0.0, left_out))
    return graph.emit("Where", [seen, zero, low])


def _axes(graph: Graph, *axes: int) -> str:
    return graph.constant(list(axes), TensorProto.INT64, "axes")
