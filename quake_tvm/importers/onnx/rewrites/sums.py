"""Sum as additions; the importer would copy all operands into one tensor first."""

import onnx

from .graph import Graph


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit an addition for each operand except the first."""
    total, *rest = node.input
    if not rest:
        graph.emit("Identity", [total], node.output[0])
    for k, operand in enumerate(rest):
        last = k == len(rest) - 1
        total = graph.emit("Add", [total, operand], node.output[0] if last else "")
