"""DynamicQuantizeLinear with a scale of 1 for a tensor of zeros.

The standard's formula divides by a scale of 0 there. ONNX Runtime gives 1, and so do we.
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
    graph.emit("Where", [graph.emit("Equal", [step, zero]), one, step], scale)
    start = graph.emit("Clip", [graph.emit("Div", [graph.emit("Neg", [low]), scale]), zero, steps])
    graph.emit("Cast", [graph.emit("Round", [start])], zero_point, to=TensorProto.UINT8)
    graph.emit("QuantizeLinear", [x, scale, zero_point], quantized)
