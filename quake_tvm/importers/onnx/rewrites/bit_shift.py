"""BitShift by a negative number or by at least all bits, which TVM leaves undefined."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit a shift by a valid number of bits, and a Where with the result for all other numbers."""
    (x, by), (y,) = node.input, node.output
    dtype = graph.dtype(x)
    if dtype == TensorProto.FLOAT:  # unknown
        raise QuakeError(f"the element type of {x!r}, which is shifted, is not known")
    info = np.iinfo(helper.tensor_dtype_to_np_dtype(dtype))
    known = graph.constant_value(by)
    if known is not None and np.all((known >= 0) & (known < info.bits)):
        graph.keep(node)
        return
    right = attributes(node)["direction"] == "RIGHT"
    zero = graph.constant(0, dtype, "zero")
    beyond = graph.emit("GreaterOrEqual", [by, graph.constant(info.bits, dtype, "bits")])
    if info.min < 0:
        beyond = graph.emit("Or", [beyond, graph.emit("Less", [by, zero])])
    possible = graph.emit("Where", [beyond, zero, by])
    shifted = graph.emit("BitShift", [x, possible], direction="RIGHT" if right else "LEFT")
    left = zero
    if right and info.min < 0:
        ones = graph.constant(-1, dtype, "ones")
        left = graph.emit("Where", [graph.emit("Less", [x, zero]), ones, zero])
    graph.emit("Where", [beyond, left, shifted], y)
