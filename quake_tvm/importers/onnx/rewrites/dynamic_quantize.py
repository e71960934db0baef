"""DynamicQuantizeLinear with a scale of 1 for a tensor of zeros.

The standard's formula divides by a scale of 0 there. ONNX Runtime gives 1, and so do we. The range
is found along all axes but the last first: this takes vectors, where one number at a time would be
compared.
"""

import onnx
from onnx import TensorProto

from .graph import Graph


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the scale and the zero point of the operand's range, and its QuantizeLinear."""
    (x,) = node.input
    quantized, scale, zero_point = node.output
    zero, one, steps = (graph.constant(n, TensorProto.FLOAT, "number") for n in (0, 1, 255))
    low = graph.emit("Min", [_extreme(graph, "ReduceMin", x), zero])
    high = graph.emit("Max", [_extreme(graph, "ReduceMax", x), zero])
    step = graph.emit("Div", [graph.emit("Sub", [high, low]), steps])
    graph.emit("Where", [graph.emit("Equal", [step, zero]), one, step], scale)
    start = graph.emit("Clip", [graph.emit("Div", [graph.emit("Neg", [low]), scale]), zero, steps])
    graph.emit("Cast", [graph.emit("Round", [start])], zero_point, to=TensorProto.UINT8)
    graph.emit("QuantizeLinear", [x, scale, zero_point], quantized)


def _extreme(graph: Graph, operator: str, x: str) -> str:
    """Emit the extreme of all elements."""
    rank = graph.rank(x) or 1
    if rank > 1:
        axes = graph.constant(list(range(rank - 1)), TensorProto.INT64, "axes")
        x = graph.emit(operator, [x, axes], keepdims=0)
    return graph.emit(operator, [x], keepdims=0)
