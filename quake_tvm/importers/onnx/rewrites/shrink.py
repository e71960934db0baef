"""Shrink of integers, whose limit and bias need not be integers."""

import onnx
from onnx import TensorProto

from .graph import Graph, attributes

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Shrink; for integers in float64, whose results are truncated, as in ONNX Runtime."""
    (x,) = node.input
    dtype = graph.dtype(x)
    if dtype in _FLOATS:
        graph.keep(node)
        return
    wide = graph.emit("Cast", [x], to=TensorProto.DOUBLE)
    shrunk = graph.emit("Shrink", [wide], **attributes(node))
    graph.emit("Cast", [shrunk], node.output[0], to=dtype)
