"""Resize of opset 10, which equals Upsample. Later opsets define Resize differently."""

import onnx
from onnx import helper

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Upsample, or a later Resize unchanged."""
    if graph.opset < 11:
        node = helper.make_node("Upsample", node.input, node.output, node.name, **attributes(node))
    graph.keep(node)
