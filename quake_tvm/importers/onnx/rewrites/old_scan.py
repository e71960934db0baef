"""Scan of opset 8, whose inputs have a batch dimension, is refused."""

import onnx

from ....errors import QuakeError
from .graph import Graph


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Keep the node.

    Raises
    ------
    QuakeError
        Before opset 9.
    """
    if graph.opset < 9:
        raise QuakeError("Scan of opset 8 is not supported: convert the model to opset 9 or later")
    graph.keep(node)
