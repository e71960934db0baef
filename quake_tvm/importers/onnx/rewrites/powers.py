"""Pow of integers, and of two element types; TVM's power takes floats of one type."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from .graph import Graph

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Pow with a constant of the base's type, or in float64, as ONNX Runtime computes it."""
    (x, exponent), (y,) = node.input, node.output
    base, dtype = graph.dtype(x), graph.dtype(exponent)
    if base in _FLOATS and base == dtype:
        graph.keep(node)
        return
    known = graph.constant_value(exponent)
    if base in _FLOATS and known is not None and _fits(known, base):
        graph.emit("Pow", [x, graph.constant(known, base, "exponent")], y)
        return
    wide = [graph.emit("Cast", [i], to=TensorProto.DOUBLE) for i in (x, exponent)]
    graph.emit("Cast", [graph.emit("Pow", wide)], y, to=base)


def _fits(value: np.ndarray, dtype: int) -> bool:
    return bool(np.all(value.astype(helper.tensor_dtype_to_np_dtype(dtype)) == value))
