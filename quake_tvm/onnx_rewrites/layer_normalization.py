"""LayerNormalization's second and third output, and weights that broadcast."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from ..errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node with its first output, and what the others are."""
    x, scale, *bias = node.input
    given = attributes(node)
    rank = graph.rank(x)
    if rank is None:
        raise QuakeError(f"the rank of LayerNormalization's input {x!r} is not known: give shapes")
    axis = given.get("axis", -1) % rank
    weights = [scale, *(b for b in bias if b)]
    if any(not _fits(graph.shape(w), graph.shape(x)[axis:]) for w in weights):
        extents = graph.emit("Shape", [x], start=axis)
        weights = [graph.emit("Expand", [w, extents]) for w in weights]
    kept = helper.make_node(
        "LayerNormalization", [x, *weights], node.output[:1], node.name, **given
    )
    graph.keep(kept)
    statistics(graph, x, axis - rank, given.get("epsilon", 1e-5), *node.output[1:])


def _fits(weights: list[int | None] | None, row: list[int | None]) -> bool:
    return weights is not None and len(weights) == len(row) and None not in weights


def statistics(
    graph: Graph, x: str, axis: int, epsilon: float, mean: str = "", inverse: str = ""
) -> None:
    """Emit the mean of the rows from an axis (negative) on, and 1/sqrt(variance + epsilon)."""
    if not {mean, inverse} & graph.used:
        return
    if graph.dtype(x) != TensorProto.FLOAT:
        x = graph.emit("Cast", [x], to=TensorProto.FLOAT)
    axes = graph.constant(np.arange(axis, 0), TensorProto.INT64, "axes")
    mean = graph.emit("ReduceMean", [x, axes], mean)
    centred = graph.emit("Sub", [x, mean])
    variance = graph.emit("ReduceMean", [graph.emit("Mul", [centred, centred]), axes])
    guarded = graph.emit("Add", [variance, graph.constant(epsilon, TensorProto.FLOAT, "epsilon")])
    graph.emit("Reciprocal", [graph.emit("Sqrt", [guarded])], inverse)
