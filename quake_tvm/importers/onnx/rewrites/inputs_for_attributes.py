"""Attributes of old opsets that later became inputs, emitted as constant inputs."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from .graph import Graph, attributes

# Stands for the first input's element type.
DATA = TensorProto.UNDEFINED


@dataclass(frozen=True)
class Moved:
    """The opset since which attributes are inputs, and these inputs in order with element types."""

    opset: int
    inputs: tuple[tuple[str, int], ...]


_AXES = (("axes", TensorProto.INT64),)
MOVED = {
    "Clip": Moved(11, (("min", DATA), ("max", DATA))),
    "Pad": Moved(11, (("pads", TensorProto.INT64), ("value", DATA))),
    "ReduceSum": Moved(13, _AXES),
    "Slice": Moved(
        10,
        (("starts", TensorProto.INT64), ("ends", TensorProto.INT64), ("axes", TensorProto.INT64)),
    ),
    "Split": Moved(13, (("split", TensorProto.INT64),)),
    "Squeeze": Moved(13, _AXES),
    "TopK": Moved(10, (("k", TensorProto.INT64),)),
    "Unsqueeze": Moved(13, _AXES),
    **dict.fromkeys(
        ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
         "ReduceMin", "ReduceProd", "ReduceSumSquare"),
        Moved(18, _AXES),
    ),
}  # fmt: skip


# Attribute of a Split from before opset 18, whose parts must be equal.
EQUAL_PARTS = "equal_parts"


def _vector(graph: Graph, axes: str) -> str:
    """Constant axes as a vector: ONNX Runtime takes a single axis as a scalar, too."""
    known = graph.constant_value(axes)
    if known is None or known.ndim:
        return axes
    return graph.constant(known.reshape(1), TensorProto.INT64, "axes")


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the node in its form since opset 18."""
    moved = MOVED[node.op_type]
    given = attributes(node)
    if graph.opset < moved.opset:
        inputs = [node.input[0]]
        for name, dtype in moved.inputs:
            if name not in given:
                inputs.append("")
                continue
            value = np.atleast_1d(given.pop(name)) if dtype else given.pop(name)
            inputs.append(graph.constant(value, dtype or graph.dtype(node.input[0]), name))
        while not inputs[-1]:
            inputs.pop()
        node = helper.make_node(node.op_type, inputs, node.output, node.name, **given)
    if node.op_type == "Split" and graph.opset < 18 and len(node.input) < 2:
        given |= {"num_outputs": len(node.output), EQUAL_PARTS: 1}
        node = helper.make_node("Split", node.input, node.output, node.name, **given)
    if moved.inputs == _AXES and len(node.input) > 1:
        node.input[1] = _vector(graph, node.input[1])
    graph.keep(node)
