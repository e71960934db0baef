"""Group norms whose form the importer lacks, as InstanceNormalization of the groups: ONNX Runtime's
GroupNorm and SkipGroupNorm, and GroupNormalization before opset 21."""

import numpy as np
import onnx
from onnx import TensorProto

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit GroupNorm."""
    x, gamma, beta = node.input
    _norm(graph, node, x, gamma, beta)


def standard(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit GroupNormalization, whose weights are those of groups before opset 21."""
    if graph.opset >= 21:
        graph.keep(node)
        return
    x, scale, bias = node.input
    given = attributes(node)
    rows = _rows(graph, x, scale, bias, given["num_groups"], given.get("epsilon", 1e-5))
    graph.emit("Reshape", [rows, graph.emit("Shape", [x])], node.output[0])


def skip(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit SkipGroupNorm: the norm of a sum. Raises QuakeError for a skip of unknown rank."""
    x, gamma, beta, added, bias = [*node.input, ""][:5]
    output = [*node.output, ""][1]
    rank = graph.rank(added)
    if rank not in (2, 4):
        raise QuakeError(f"com.microsoft.SkipGroupNorm: the rank of {added!r} must be 2 or 4")
    last = attributes(node).get("channels_last", 1)
    if rank == 2:
        added = _unsqueezed(graph, added, [1, 2] if last else [2, 3])
    if bias:
        added = graph.emit("Add", [added, bias if last else _unsqueezed(graph, bias, [1, 2])])
    _norm(graph, node, graph.emit("Add", [x, added], output), gamma, beta)


def _norm(graph: Graph, node: onnx.NodeProto, x: str, gamma: str, beta: str) -> None:
    given, dtype = attributes(node), graph.dtype(x)
    last, groups = given.get("channels_last", 1), given["groups"]
    first = graph.emit("Transpose", [x], perm=[0, 3, 1, 2]) if last else x
    one, zero = (graph.constant(np.full(groups, n), dtype, "group") for n in (1, 0))
    rows = _rows(graph, first, one, zero, groups, given.get("epsilon", 1e-5))
    y = graph.emit("Reshape", [rows, graph.emit("Shape", [first])])
    weights = [graph.emit("Cast", [w], to=dtype) for w in (gamma, beta)]
    for operator, weight in zip(("Mul", "Add"), weights, strict=True):
        y = graph.emit(operator, [y, _unsqueezed(graph, weight, [1, 2])])
    if given.get("activation"):
        y = graph.emit("Mul", [y, graph.emit("Sigmoid", [y])])
    order = [0, 2, 3, 1] if last else [0, 1, 2, 3]
    graph.emit("Transpose", [y], node.output[0], perm=order)


def _rows(graph: Graph, x: str, scale: str, bias: str, groups: int, epsilon: float) -> str:
    shape = graph.constant([0, groups, -1], TensorProto.INT64, "shape")
    rows = graph.emit("Reshape", [x, shape])
    return graph.emit("InstanceNormalization", [rows, scale, bias], epsilon=epsilon)


def _unsqueezed(graph: Graph, x: str, axes: list[int]) -> str:
    return graph.emit("Unsqueeze", [x, graph.constant(axes, TensorProto.INT64, "axes")])
