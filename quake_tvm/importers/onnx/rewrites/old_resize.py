"""Resize of opset 10, which is Upsample by another name: in later opsets it would be another."""

import onnx
from onnx import helper

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit Upsample, or a later Resize as it is."""
    if graph.opset < 11:
        node = helper.make_node("Upsample", node.input, node.output, node.name, **attributes(node))
    graph.keep(node)
