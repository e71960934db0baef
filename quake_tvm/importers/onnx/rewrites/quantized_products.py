"""Products and convolutions of quantized tensors as integer ones, and what scales their sums.

The sums are exact, and are rounded as in ONNX Runtime: its bytes are the same.
"""

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from . import channels, dynamic_quantize
from .graph import Graph, attributes
from .quantized import requantized, scaled, widened


def mat_mul(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit QLinearMatMul. Scales in half precision are widened: the factor is float32."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.input
    rows = graph.shape(a_scale)
    a_scale, b_scale, y_scale = (widened(graph, scale) for scale in (a_scale, b_scale, y_scale))
    if rows is not None and len(rows) == 1 and rows != [1]:  # a scale for each row
        a_scale = graph.emit("Unsqueeze", [a_scale, graph.constant(1, TensorProto.INT64, "axis")])
    sums = graph.emit("MatMulInteger", [a, b, a_zero, b_zero])
    scale = graph.emit("Mul", [a_scale, b_scale])
    requantized(graph, sums, scale, [y_scale, y_zero], node.output[0])


def conv(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit QLinearConv, also ONNX Runtime's, whose data may have their channels last.

    Raises
    ------
    QuakeError
        If the weights have no known rank.
    """
    x, x_scale, x_zero, w, w_scale, w_zero, *result = node.input[:8]
    bias = node.input[8] if len(node.input) > 8 else ""
    rank = graph.rank(w) or graph.rank(x)
    if rank is None:
        raise QuakeError(f"QLinearConv: the rank of {w!r} must be known")
    given = attributes(node)
    last, output = given.pop("channels_last", 0), node.output[0]
    if last:
        x, output = channels.to_first(graph, x, rank), graph.fresh("channels_first")
    column = graph.constant([-1, *[1] * (rank - 2)], TensorProto.INT64, "column")
    sums = graph.emit("ConvInteger", [x, w, x_zero, w_zero], **given)
    if bias:
        sums = graph.emit("Add", [sums, graph.emit("Reshape", [bias, column])])
    scale = graph.emit("Mul", [x_scale, graph.emit("Reshape", [w_scale, column])])
    requantized(graph, sums, scale, result, output)
    if last:
        channels.to_last(graph, output, rank, node.output[0])


def gemm(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit com.microsoft.QGemm, whose result is real if it has no scale.

    Raises
    ------
    QuakeError
        If an operand has no known rank.
    """
    names = [*node.input, *[""] * (9 - len(node.input))]
    a, a_scale, a_zero, b, b_scale, b_zero, bias, *result = names
    given = attributes(node)
    if given.get("transA", 0):
        a = graph.emit("Transpose", [a], perm=[1, 0])
    if given.get("transB", 0):
        b = graph.emit("Transpose", [b], perm=[1, 0])
    sums = graph.emit("MatMulInteger", [a, b, a_zero, b_zero])
    if bias:
        sums = graph.emit("Add", [sums, bias])
    if given.get("alpha", 1.0) != 1.0:
        alpha = graph.constant(given["alpha"], TensorProto.FLOAT, "alpha")
        a_scale = graph.emit("Mul", [alpha, a_scale])
    scale = graph.emit("Mul", [a_scale, b_scale])
    if result[0]:
        requantized(graph, sums, scale, result, node.output[0])
    else:
        scaled(graph, sums, scale, node.output[0])


def mat_mul_to_float(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit com.microsoft.MatMulIntegerToFloat."""
    a, b, a_scale, b_scale, a_zero, b_zero, bias = [*node.input, "", "", ""][:7]
    real_product(graph, (a, a_scale, a_zero), (b, b_scale, b_zero), bias, node.output[0])


def dynamic_mat_mul(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit com.microsoft.DynamicQuantizeMatMul."""
    x, b, b_scale, b_zero, bias = [*node.input, "", ""][:5]
    a = tuple(graph.fresh(name) for name in ("quantized", "scale", "zero_point"))
    dynamic = helper.make_node("DynamicQuantizeLinear", [x], a)
    dynamic_quantize.rewrite(dynamic, graph)
    real_product(graph, a, (b, b_scale, b_zero), bias, node.output[0])


def real_product(
    graph: Graph, a: Sequence[str], b: Sequence[str], bias: str, output: str = ""
) -> str:
    """Emit the real product of two quantized matrices.

    Parameters
    ----------
    graph : Graph
    a, b : sequence of str
        Each with its scale and its zero point, which may be left out.
    bias : str
        Empty if there is none.
    output : str

    Returns
    -------
    str
        The output's name.
    """
    operands = [a[0], b[0], a[2], b[2]]
    while not operands[-1]:
        operands.pop()
    sums = graph.emit("MatMulInteger", operands)
    scale = graph.emit("Mul", [a[1], b[1]])
    if not bias:
        return scaled(graph, sums, scale, output)
    return graph.emit("Add", [scaled(graph, sums, scale), bias], output)
