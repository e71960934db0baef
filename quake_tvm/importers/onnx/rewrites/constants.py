"""Constant in the one form that the importer supports."""

import onnx
from onnx import TensorProto

from .graph import Graph, attributes

_TYPES = {"value_float": TensorProto.FLOAT, "value_int": TensorProto.INT64}


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the constant as a tensor."""
    ((name, value),) = attributes(node).items()
    if name == "value":
        graph.keep(node)
        return
    graph.emit("Identity", [graph.constant(value, _TYPES[name.removesuffix("s")], "constant")],
               node.output[0])  # fmt: skip
