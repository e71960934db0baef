"""RoiAlign before opset 16, which does not shift coordinates by half a pixel."""

import onnx
from onnx import helper

from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node with the coordinate mode that was the only one before opset 16."""
    if graph.opset < 16:
        mode = {"coordinate_transformation_mode": "output_half_pixel"}
        node = helper.make_node("RoiAlign", node.input, node.output, **attributes(node), **mode)
    graph.keep(node)
