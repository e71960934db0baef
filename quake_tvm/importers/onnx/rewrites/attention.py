"""com.microsoft.Attention as products, masks and a softmax."""

import math

import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from .attention_masks import LEFT_OUT, Keys
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard.

    Raises
    ------
    QuakeError
        For weights or masks of an unsupported shape.
    """
    inputs = [*node.input, *[""] * (6 - len(node.input))]
    x, weights, _, mask, _, scores_bias = inputs[:6]
    projected = graph.emit("MatMul", [x, weights])
    if inputs[2]:
        projected = graph.emit("Add", [projected, inputs[2]])
    attend(node, graph, projected, weights, mask, scores_bias)


def attend(
    node: onnx.NodeProto, graph: Graph, projected: str, weights: str, mask: str, scores_bias: str
) -> None:
    """Emit what follows the projection to queries, keys and values.

    Parameters
    ----------
    node : onnx.NodeProto
        Its first input is the tensor (batch, length, features).
    graph : Graph
    projected : str
        Queries, keys and values, (batch, length, columns).
    weights : str
        The projection's.
    mask, scores_bias : str
        Empty if there is none.

    Raises
    ------
    QuakeError
        For weights or masks of an unsupported shape.
    """
    given = attributes(node)
    x = node.input[0]
    shape = graph.shape(x)
    batch = shape[0] if shape is not None and len(shape) == 3 else None
    sizes = _sizes(graph, node.op_type, weights, given)
    q, k, v = _heads(graph, projected, sizes, given["num_heads"])
    scale = given.get("scale") or 1 / math.sqrt(sizes[0] // given["num_heads"])
    dtype = graph.dtype(projected)
    scores = graph.emit("MatMul", [q, k])
    scores = graph.emit("Mul", [scores, graph.constant(scale, dtype, "scale")])
    added = [scores_bias] if scores_bias else []
    keys = Keys(graph, node.op_type, projected, 1, batch)
    if mask:
        added.append(keys.mask(mask, given.get("mask_filter_value", LEFT_OUT)))
    if given.get("unidirectional"):
        added.append(keys.after())
    for term in added:
        scores = graph.emit("Add", [scores, term])
    y = graph.emit("MatMul", [graph.emit("Softmax", [scores], axis=-1), v])
    y = graph.emit("Transpose", [y], perm=[0, 2, 1, 3])
    ends = graph.constant([0, 0, sizes[2]], TensorProto.INT64, "shape")
    graph.emit("Reshape", [y, ends], node.output[0])


def _sizes(graph: Graph, operator: str, weights: str, given: dict) -> list[int]:
    """The numbers of columns of queries, keys and values."""
    shape = graph.shape(weights)
    rows, columns = shape if shape is not None and len(shape) == 2 else (None, None)
    if rows is None or columns is None:
        raise QuakeError(f"com.microsoft.{operator}: the shape of its weights {weights!r} is open")
    sizes = list(given.get("qkv_hidden_sizes") or [columns // 3] * 3)
    heads = given.get("num_heads", 0)
    fits = len(sizes) == 3 and sum(sizes) == columns and sizes[0] == sizes[1]
    if heads < 1 or not fits or any(size % heads for size in sizes):
        raise QuakeError(
            f"com.microsoft.{operator}: {columns} columns of weights do not make queries, keys "
            f"and values for {heads} heads"
        )
    return sizes


def _heads(graph: Graph, projected: str, sizes: list[int], heads: int) -> list[str]:
    """Queries, keys (transposed) and values, split into heads."""
    parts = [graph.fresh(name) for name in ("queries", "keys", "values")]
    split = graph.constant(sizes, TensorProto.INT64, "sizes")
    graph.keep(helper.make_node("Split", [projected, split], parts, axis=-1))
    found = []
    orders = [0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]
    for part, size, order in zip(parts, sizes, orders, strict=True):
        shape = graph.constant([0, 0, heads, size // heads], TensorProto.INT64, "shape")
        found.append(graph.emit("Transpose", [graph.emit("Reshape", [part, shape])], perm=order))
    return found
