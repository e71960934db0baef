"""SplitToSequence in chunks of one size; the importer makes equal chunks instead."""

import onnx
from onnx import TensorProto, helper

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node with the size of each chunk, if it is known."""
    split = node.input[1] if len(node.input) > 1 else ""
    chunk, shape = graph.constant_value(split), graph.shape(node.input[0])
    axis = attributes(node).get("axis", 0)
    extent = shape[axis] if shape else None
    if chunk is not None and chunk.ndim == 0 and extent is not None:
        whole, rest = divmod(extent, int(chunk))
        sizes = [int(chunk)] * whole + [rest] * bool(rest)
        split = graph.constant(sizes, TensorProto.INT64, "split")
        node = helper.make_node(
            "SplitToSequence", [node.input[0], split], node.output, node.name, axis=axis
        )
    graph.keep(node)
