"""DequantizeLinear of constants that TVM has no type or no form for.

Constants of 2 and 4 bits become bytes. Constants with a scale for each block become real numbers.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from .graph import Graph, attributes

_BYTES = {
    getattr(TensorProto, f"{sign}INT{bits}"): getattr(TensorProto, f"{sign}INT8")
    for sign in ("", "U")
    for bits in (2, 4)
    if hasattr(TensorProto, f"{sign}INT{bits}")
}


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node with operands that TVM can hold.

    Raises
    ------
    QuakeError
        For blocks of a tensor that is no constant.
    """
    given = attributes(node)
    if given.get("block_size", 0):
        _by_blocks(node, graph, given.get("axis", 1), given["block_size"])
        return
    inputs = [_in_bytes(graph, name) if name else "" for name in node.input]
    made = helper.make_node(node.op_type, inputs, node.output, node.name, domain=node.domain)
    made.attribute.extend(a for a in node.attribute if a.name != "block_size")
    graph.keep(made)


def _in_bytes(graph: Graph, name: str) -> str:
    """The constant as bytes, if it has fewer bits; else the value itself."""
    wide = _BYTES.get(graph.dtype(name))
    values = None if wide is None else graph.constant_value(name)
    return name if wide is None or values is None else graph.constant(values, wide, "bytes")


def _by_blocks(node: onnx.NodeProto, graph: Graph, axis: int, size: int) -> None:
    operands = [graph.constant_value(name) for name in node.input if name]
    if any(operand is None for operand in operands):
        raise QuakeError(
            "DequantizeLinear: a tensor with a scale for each block must be a constant"
        )
    x, *spread = (operand for operand in operands if operand is not None)
    scale, *zero = (np.repeat(s, size, axis).take(range(x.shape[axis]), axis) for s in spread)
    values = x.astype(np.float32)
    for z in zero:
        values = values - z.astype(np.float32)
    real = graph.constant(values * scale.astype(np.float32), graph.dtype(node.input[1]), "real")
    graph.emit("Identity", [real], node.output[0])
