"""DequantizeLinear of constants that TVM has no type for: those of 2 and 4 bits become bytes."""

import onnx
from onnx import TensorProto, helper

from . import quantized_blocks
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
        For blocks whose scales have an unknown shape.
    """
    given = attributes(node)
    inputs = [_in_bytes(graph, name) if name else "" for name in node.input]
    if given.get("block_size", 0):
        quantized_blocks.dequantize(graph, inputs, node.output[0], given)
        return
    made = helper.make_node(node.op_type, inputs, node.output, node.name, domain=node.domain)
    made.attribute.extend(a for a in node.attribute if a.name != "block_size")
    graph.keep(made)


def _in_bytes(graph: Graph, name: str) -> str:
    """The constant as bytes, if it has fewer bits; else the value itself."""
    wide = _BYTES.get(graph.dtype(name))
    values = None if wide is None else graph.constant_value(name)
    return name if wide is None or values is None else graph.constant(values, wide, "bytes")
