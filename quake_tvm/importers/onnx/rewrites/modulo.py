"""Mod of floats with the divisor's sign: TVM's is NaN where the divisor is infinite."""

import onnx
from onnx import TensorProto

from .graph import Graph, attributes

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the remainder with the dividend's sign, and add the divisor where the signs differ."""
    x, y = node.input
    dtype = graph.dtype(x)
    if attributes(node).get("fmod", 0) or dtype not in _FLOATS:
        graph.keep(node)
        return
    zero, minus_zero = (graph.constant(n, dtype, "zero") for n in (0.0, -0.0))
    rest = graph.emit("Mod", [x, y], fmod=1)
    below = graph.emit("Less", [y, zero])
    other = graph.emit("Xor", [graph.emit("Less", [rest, zero]), below])
    moved = graph.emit("Where", [other, graph.emit("Add", [rest, y]), rest])
    none = graph.emit("Where", [below, minus_zero, zero])
    graph.emit("Where", [graph.emit("Equal", [rest, zero]), none, moved], node.output[0])
