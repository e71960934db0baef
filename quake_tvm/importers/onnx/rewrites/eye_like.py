"""EyeLike of another type than its input's."""

import onnx

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit it of the input's type, and a cast."""
    given = attributes(node)
    (x,), (y,) = node.input, node.output
    dtype = given.pop("dtype", graph.dtype(x))
    graph.emit("Cast", [graph.emit("EyeLike", [x], **given)], y, to=dtype)
