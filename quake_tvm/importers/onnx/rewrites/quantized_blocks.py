"""QuantizeLinear and DequantizeLinear whose scales hold for blocks of elements, as arithmetic."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from .graph import Graph, attributes

_INT = TensorProto.INT64


def dequantize(graph: Graph, inputs: Sequence[str], output: str, given: Mapping[str, Any]) -> None:
    """Emit (x - zero point) · scale.

    Parameters
    ----------
    graph : Graph
    inputs : sequence of str
        x, scales and zero points, of which the last may be missing.
    output : str
    given : mapping
        The attributes.

    Raises
    ------
    QuakeError
        If the shape of the scales is unknown.
    """
    x, scales, points = [*inputs, ""][:3]
    y = _number(graph, x)
    if points:
        y = graph.emit("Sub", [y, _repeated(graph, given, points, x)])
    y = graph.emit("Mul", [y, _repeated(graph, given, scales, x)])
    dtype = given.get("output_dtype") or graph.dtype(scales)
    graph.emit("Cast", [y], output, to=dtype)


def quantize(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit x / scale, rounded, + zero point within the type's limits; or the node itself.

    NaN becomes the least number, as in ONNX Runtime.

    Raises
    ------
    QuakeError
        If the shape of the scales is unknown, and for types other than integers.
    """
    given = attributes(node)
    if not given.get("block_size"):
        graph.keep(node)
        return
    x, scales, points = [*node.input, ""][:3]
    dtype = graph.dtype(points) if points else given.get("output_dtype") or TensorProto.UINT8
    limits = np.dtype(helper.tensor_dtype_to_np_dtype(dtype))
    if limits.kind not in "iu":
        raise QuakeError(f"QuantizeLinear in blocks of the type {limits} is not supported")
    y = graph.emit("Div", [_number(graph, x), _repeated(graph, given, scales, x)])
    y = graph.emit("Round", [y])
    if points:
        y = graph.emit("Add", [y, _repeated(graph, given, points, x)])
    ends = [np.iinfo(limits).min, np.iinfo(limits).max]
    low, high = (graph.constant(n, TensorProto.FLOAT, "limit") for n in ends)
    below, above = graph.emit("Min", [y, high]), graph.emit("Greater", [y, low])
    graph.emit("Cast", [graph.emit("Where", [above, below, low])], node.output[0], to=dtype)


def _repeated(graph: Graph, given: Mapping[str, Any], values: str, x: str) -> str:
    """The values of the blocks, in float32, once for each element of ``x``."""
    shape = graph.shape(values)
    if shape is None or None in shape:
        raise QuakeError(f"the shape of {values!r}, which has the scales of blocks, must be known")
    axis, size = given.get("axis", 1) % len(shape), given["block_size"]
    blocks = graph.constant([*shape[: axis + 1], size, *shape[axis + 1 :]], _INT, "shape")
    whole = graph.constant([*shape[:axis], shape[axis] * size, *shape[axis + 1 :]], _INT, "shape")
    column = graph.emit("Unsqueeze", [_number(graph, values), _vector(graph, axis + 1)])
    every = graph.emit("Reshape", [graph.emit("Expand", [column, blocks]), whole])
    end = graph.emit("Shape", [x], start=axis, end=axis + 1)
    return graph.emit("Slice", [every, _vector(graph, 0), end, _vector(graph, axis)])


def _vector(graph: Graph, number: int) -> str:
    return graph.constant([number], _INT, "number")


def _number(graph: Graph, x: str) -> str:
    return graph.emit("Cast", [x], to=TensorProto.FLOAT)
