"""LRN of an even size, of types other than float32, or of ranks other than 3 and 4."""

import numpy as np
import onnx
from onnx import TensorProto

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit LRN with the sum over neighbouring channels as a sum of slices."""
    given = attributes(node)
    size = given["size"]
    (x,), (y,) = node.input, node.output
    rank, dtype = graph.rank(x), graph.dtype(x)
    if size % 2 and dtype == TensorProto.FLOAT and rank in (3, 4):
        graph.keep(node)
        return
    before, after = (size - 1) // 2, size // 2
    axis = graph.constant([1], TensorProto.INT64, "axis")
    pads = graph.constant([before, after], TensorProto.INT64, "pads")
    zero = graph.constant(0, dtype, "zero")
    squares = graph.emit("Pad", [graph.emit("Mul", [x, x]), pads, zero, axis])
    total = ""
    for k in range(size):
        start = graph.constant([k], TensorProto.INT64, "start")
        last = k - size + 1
        end = graph.constant([last or np.iinfo(np.int64).max], TensorProto.INT64, "end")
        window = graph.emit("Slice", [squares, start, end, axis])
        total = graph.emit("Add", [total, window]) if total else window
    factor = graph.constant(given.get("alpha", 1e-4) / size, dtype, "alpha")
    bias = graph.constant(given.get("bias", 1.0), dtype, "bias")
    beta = graph.constant(given.get("beta", 0.75), dtype, "beta")
    base = graph.emit("Add", [graph.emit("Mul", [total, factor]), bias])
    graph.emit("Div", [x, graph.emit("Pow", [base, beta])], y)
