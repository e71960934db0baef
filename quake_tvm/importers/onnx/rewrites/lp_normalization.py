"""LpNormalization as a norm and a division; rows of zeros stay zero."""

import onnx
from onnx import TensorProto

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard."""
    (x,), given = node.input, attributes(node)
    axes = graph.constant([given.get("axis", -1)], TensorProto.INT64, "axes")
    norm = graph.emit(f"ReduceL{given.get('p', 2)}", [x, axes])
    zero = graph.constant(0, graph.dtype(x), "zero")
    none = graph.emit("Equal", [norm, zero])
    graph.emit("Where", [none, zero, graph.emit("Div", [x, norm])], node.output[0])
