"""ONNX Runtime's operators that the standard has, too."""

import onnx
from onnx import TensorProto

from . import channels
from .graph import Graph, attributes

# Those whose inputs and attributes are the standard's.
SAME = ("GridSample", "Trilu")


def same(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit one of ``SAME``."""
    graph.emit(node.op_type, node.input, node.output[0], **attributes(node))


def expand_dims(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit ExpandDims as Unsqueeze."""
    x, axis = node.input
    graph.emit("Unsqueeze", [x, _vector(graph, axis)], node.output[0])


def pad(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Pad, whose pads may be a row."""
    x, pads, *value = node.input
    graph.emit("Pad", [x, _vector(graph, pads), *value], node.output[0], **attributes(node))


def range_(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Range, whose step is 1 if it is left out."""
    start, limit, delta = [*node.input, ""][:3]
    ends = [_scalar(graph, name) for name in (start, limit)]
    step = _scalar(graph, delta) if delta else graph.constant(1, graph.dtype(start), "step")
    graph.emit("Range", [*ends, step], node.output[0])


def max_pool(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit NhwcMaxPool as a MaxPool between two transpositions."""
    given = attributes(node)
    rank = len(given["kernel_shape"]) + 2
    y = graph.emit("MaxPool", [channels.to_first(graph, node.input[0], rank)], **given)
    channels.to_last(graph, y, rank, node.output[0])


def _vector(graph: Graph, x: str) -> str:
    return graph.emit("Reshape", [x, graph.constant([-1], TensorProto.INT64, "shape")])


def _scalar(graph: Graph, x: str) -> str:
    shape = graph.constant([], TensorProto.INT64, "shape")
    return x if graph.rank(x) == 0 else graph.emit("Reshape", [x, shape])
