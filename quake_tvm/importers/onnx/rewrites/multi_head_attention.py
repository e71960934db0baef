"""com.microsoft.MultiHeadAttention as products, masks and a softmax."""

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
        For inputs of unknown rank or width.
    """
    given = attributes(node)
    query, key, value, bias, mask, added, past_key, past_value = [*node.input, *[""] * 8][:8]
    output, present_key, present_value, scores_output = [*node.output, *[""] * 4][:4]
    query, key, value = _apart(graph, query, key, value)
    heads, shape = given["num_heads"], graph.shape(query)
    batch, _, width = shape if shape is not None and len(shape) == 3 else (None, None, None)
    if not value or width is None or graph.rank(key) not in (3, 4):
        raise QuakeError(
            "com.microsoft.MultiHeadAttention needs queries of known width, and keys of known rank"
        )
    if bias:
        query, key, value = _biased(graph, [query, key, value], bias, width)
    q, k, v = (_heads(graph, x, heads) for x in (query, key, value))
    if past_key:
        k = graph.emit("Concat", [past_key, k], present_key, axis=2)
        v = graph.emit("Concat", [past_value, v], present_value, axis=2)
    else:
        k, v = (
            graph.emit("Identity", [x], name) if name in graph.used else x
            for x, name in ((k, present_key), (v, present_value))
        )
    scale = given.get("scale") or 1 / math.sqrt(width // heads)
    turned = graph.emit("Transpose", [k], perm=[0, 1, 3, 2])
    product = graph.emit("MatMul", [q, turned])
    scores = graph.emit("Mul", [product, graph.constant(scale, graph.dtype(query), "scale")])
    keys = Keys(graph, node.op_type, k, 2, batch)
    if mask:
        left_out = given.get("mask_filter_value", LEFT_OUT)
        scores = graph.emit("Add", [scores, keys.mask(mask, left_out)])
    if given.get("unidirectional"):
        scores = graph.emit("Add", [scores, keys.after(query)])
    if added:
        scores = graph.emit("Add", [scores, added])
    if scores_output in graph.used:
        graph.emit("Identity", [scores], scores_output)
    y = graph.emit("MatMul", [graph.emit("Softmax", [scores], axis=-1), v])
    y = graph.emit("Transpose", [y], perm=[0, 2, 1, 3])
    ends = graph.constant([0, 0, -1], TensorProto.INT64, "shape")
    graph.emit("Reshape", [y, ends], output)


def _apart(graph: Graph, query: str, key: str, value: str) -> list[str]:
    """Queries, keys and values of rank 3, of which (batch, length, heads, 2 or 3, features) holds
    two or three."""
    packed = key or query
    shape = graph.shape(packed)
    if value or shape is None or len(shape) != 5:
        return [query, key, value]
    _, _, heads, count, features = shape
    if heads is None or features is None or count != (2 if key else 3):
        raise QuakeError(f"com.microsoft.MultiHeadAttention: {packed!r} of the shape {shape}")
    parts = [graph.fresh(name) for name in ("queries", "keys", "values")[-count:]]
    graph.keep(helper.make_node("Split", [packed], parts, axis=3, num_outputs=count))
    ends = graph.constant([0, 0, heads * features], TensorProto.INT64, "shape")
    apart = [graph.emit("Reshape", [part, ends]) for part in parts]
    return [query, *apart] if key else apart


def _biased(graph: Graph, inputs: list[str], bias: str, width: int) -> list[str]:
    """Queries, keys and values plus their parts of the bias."""
    total = graph.shape(bias) or [None]
    if total[0] is None or any(graph.rank(x) != 3 for x in inputs):
        raise QuakeError("com.microsoft.MultiHeadAttention: a bias needs inputs of rank 3")
    sizes = graph.constant([width, width, total[0] - 2 * width], TensorProto.INT64, "sizes")
    parts = [graph.fresh(name) for name in ("query_bias", "key_bias", "value_bias")]
    graph.keep(helper.make_node("Split", [bias, sizes], parts, axis=0))
    return [graph.emit("Add", pair) for pair in zip(inputs, parts, strict=True)]


def _heads(graph: Graph, x: str, heads: int) -> str:
    """(batch, heads, length, width): the input itself, or split into heads."""
    shape = graph.shape(x)
    if shape is not None and len(shape) == 4:
        return x
    if shape is None or shape[2] is None:
        raise QuakeError(f"com.microsoft.MultiHeadAttention: the width of {x!r} must be known")
    ends = graph.constant([0, 0, heads, shape[2] // heads], TensorProto.INT64, "shape")
    return graph.emit("Transpose", [graph.emit("Reshape", [x, ends])], perm=[0, 2, 1, 3])
