"""Scatter, which is called ScatterElements since opset 11."""

import onnx
from onnx import helper

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit ScatterElements."""
    graph.keep(helper.make_node("ScatterElements", node.input, node.output, **attributes(node)))
