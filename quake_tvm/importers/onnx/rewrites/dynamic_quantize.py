"""DynamicQuantizeLinear with ONNX Runtime's answers where the standard's formula has none.

For a tensor of zeros it divides by a scale of 0: the scale is 1. If the zero point would be NaN,
because the range is infinite or its 255th part vanishes, it is 255.
"""

import onnx
from onnx import TensorProto

from .graph import Graph


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the scale and the zero point of the operand's range, and its QuantizeLinear."""
    (x,) = node.input
    quantized, scale, zero_point = node.output
    zero, one, steps = (graph.constant(n, TensorProto.FLOAT, "number") for n in (0, 1, 255))
    low = graph.emit("Min", [graph.emit("ReduceMin", [x], keepdims=0), zero])
    high = graph.emit("Max", [graph.emit("ReduceMax", [x], keepdims=0), zero])
    step = graph.emit("Div", [graph.emit("Sub", [high, low]), steps])
    graph.emit("Where", [graph.emit("Equal", [low, high]), one, step], scale)
    start = graph.emit("Div", [graph.emit("Neg", [low]), scale])
    inside = graph.emit("Where", [graph.emit("Less", [start, steps]), start, steps])
    graph.emit("Cast", [graph.emit("Round", [inside])], zero_point, to=TensorProto.UINT8)
    graph.emit("QuantizeLinear", [x, scale, zero_point], quantized)
