"""EyeLike with a type other than its input's."""

import onnx

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit EyeLike of the input's type, and a Cast."""
    given = attributes(node)
    (x,), (y,) = node.input, node.output
    dtype = given.pop("dtype", graph.dtype(x))
    graph.emit("Cast", [graph.emit("EyeLike", [x], **given)], y, to=dtype)
