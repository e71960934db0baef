"""Squeeze with an empty list of axes: none by the standard, every axis of 1 in ONNX Runtime."""

import onnx

from ....errors import QuakeError
from . import inputs_for_attributes
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node with its axes as an input; Identity for an empty list that drops no axis.

    Raises
    ------
    QuakeError
        For an empty list where an axis has one element, or may have.
    """
    x, axes = [*node.input, ""][:2]
    given = graph.constant_value(axes) if axes else attributes(node).get("axes")
    if given is None or len(given):
        inputs_for_attributes.rewrite(node, graph)
        return
    shape = graph.shape(x)
    if shape is None or None in shape or 1 in shape:
        raise QuakeError(
            "Squeeze with an empty list of axes: the standard drops no axis, ONNX Runtime every "
            "axis of 1; list the axes, or take the node out"
        )
    graph.emit("Identity", [x], node.output[0])
