"""Equal of booleans, which TVM compares as numbers."""

import onnx
from onnx import TensorProto

from .graph import Graph


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Equal, or for booleans Not of Xor."""
    if TensorProto.BOOL in map(graph.dtype, node.input):
        graph.emit("Not", [graph.emit("Xor", node.input)], node.output[0])
    else:
        graph.keep(node)
