"""LayerNormalization with its second and third output, and norms with weights that broadcast."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node with its first output, and nodes that compute the other outputs.

    Raises
    ------
    QuakeError
        If the axes that make a row are unknown.
    """
    x, given = node.input[0], attributes(node)
    axis, row = _row(node, graph)
    weights = [_of_a_row(graph, w, x, axis, row) for w in node.input[1:] if w]
    if len(weights) == 1 and None in row:  # the importer would need a constant
        zeros = graph.emit("ConstantOfShape", [graph.emit("Shape", weights)])
        weights.append(graph.emit("CastLike", [zeros, weights[0]]))
    graph.keep(
        helper.make_node("LayerNormalization", [x, *weights], node.output[:1], node.name, **given)
    )
    statistics(graph, x, axis, given.get("epsilon", 1e-5), *node.output[1:])


def rms(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit RMSNormalization with a weight of a row's extents.

    Raises
    ------
    QuakeError
        If the axes that make a row are unknown.
    """
    node.input[1] = _of_a_row(graph, node.input[1], node.input[0], *_row(node, graph))
    graph.keep(node)


def _row(node: onnx.NodeProto, graph: Graph) -> tuple[int, list[int | None]]:
    """The first axis of a row, counted from the last, and the row's extents."""
    x = node.input[0]
    axis, shape = attributes(node).get("axis", -1), graph.shape(x)
    if axis >= 0:
        if shape is None:
            raise QuakeError(
                f"{node.op_type} along axis {axis} of {x!r}, whose rank is not known: count the "
                "axis from the last"
            )
        axis -= len(shape)
    return axis, shape[axis:] if shape else [None] * -axis


def _of_a_row(graph: Graph, weights: str, x: str, axis: int, row: list[int | None]) -> str:
    """The weights, expanded to a row's extents."""
    shape = graph.shape(weights)
    if shape is None or (len(shape) == len(row) and all(map(_equal, shape, row))):
        return weights
    return graph.emit("Expand", [weights, graph.emit("Shape", [x], start=axis)])


def _equal(weight: int | None, row: int | None) -> bool:
    """Whether extents are equal, or must be because that of the weights does not broadcast."""
    return weight == row or (weight != 1 and None in (weight, row))


def statistics(
    graph: Graph, x: str, axis: int, epsilon: float, mean: str = "", inverse: str = ""
) -> None:
    """Emit the mean of each row and 1/sqrt(variance + epsilon), if they are used.

    Parameters
    ----------
    graph : Graph
    x : str
    axis : int
        Negative: a row has the dimensions from this axis on.
    epsilon : float
    mean, inverse : str
        The names of the two outputs; empty if unused.
    """
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
