"""Pow of integers, in float64 as ONNX Runtime does it: TVM's is of floats."""

import onnx
from onnx import TensorProto

from .graph import Graph

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node between casts, if its base is of integers."""
    (x, exponent), (y,) = node.input, node.output
    dtype = graph.dtype(x)
    if dtype in _FLOATS:
        graph.keep(node)
        return
    wide = [graph.emit("Cast", [i], to=TensorProto.DOUBLE) for i in (x, exponent)]
    graph.emit("Cast", [graph.emit("Pow", wide)], y, to=dtype)
