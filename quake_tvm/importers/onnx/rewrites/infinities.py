"""IsInf that detects only one sign, or none."""

import onnx

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit IsInf of either sign, and a comparison with 0."""
    given = attributes(node)
    detected = {s for s in ("negative", "positive") if given.get(f"detect_{s}", 1)}
    (x,), (y,) = node.input, node.output
    if len(detected) == 2:
        graph.emit("IsInf", [x], y)
        return
    either = graph.emit("IsInf", [x])
    zero = graph.constant(0, graph.dtype(x), "zero")
    if detected:
        sign = graph.emit("Greater" if "positive" in detected else "Less", [x, zero])
    else:
        sign = graph.emit("Not", [either])
    graph.emit("And", [either, sign], y)
