"""ONNX Runtime's operators on quantized tensors as the same operators on their real values."""

import onnx

from ....errors import QuakeError
from . import channels
from .graph import Graph, attributes
from .legacy_softmax import along
from .quantized import dequantized, quantized

# The operators of two tensors, and those of one.
_BINARY = {"QLinearAdd": "Add", "QLinearMul": "Mul"}
_UNARY = {
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearSigmoid": "Sigmoid",
}
OPERATORS = (*_BINARY, *_UNARY)


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit one of ``OPERATORS`` between dequantizations and a quantization.

    Raises
    ------
    QuakeError
        If channels are last and the rank is unknown.
    """
    operator = _BINARY.get(node.op_type) or _UNARY[node.op_type]
    count = 2 if node.op_type in _BINARY else 1
    operands = [dequantized(graph, node.input[3 * k : 3 * k + 3]) for k in range(count)]
    given = attributes(node)
    if given.pop("channels_last", 0):
        rank = graph.rank(node.input[0])
        if rank is None:
            raise QuakeError(f"com.microsoft.{node.op_type}: its input's rank must be known")
        y = graph.emit(operator, [channels.to_first(graph, operands[0], rank)], **given)
        y = channels.to_last(graph, y, rank)
    else:
        y = graph.emit(operator, operands, **given)
    _quantized(graph, y, node, 3 * count)


def softmax(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit QLinearSoftmax, which names the opset whose Softmax it is."""
    given = attributes(node)
    x = dequantized(graph, node.input[:3])
    y = along(graph, "Softmax", x, given.get("axis", -1), given.get("opset", graph.opset))
    _quantized(graph, y, node, 3)


def concat(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit QLinearConcat."""
    scale, zero_point, *values = node.input
    parts = [dequantized(graph, values[k : k + 3]) for k in range(0, len(values), 3)]
    quantized(
        graph, graph.emit("Concat", parts, **attributes(node)), scale, zero_point, node.output[0]
    )


def _quantized(graph: Graph, y: str, node: onnx.NodeProto, first: int) -> None:
    """Quantize the result by the scale and zero point from this input on."""
    scale, zero_point = [*node.input, ""][first : first + 2]
    zero_point = zero_point or graph.constant(0, graph.dtype(node.input[0]), "zero_point")
    quantized(graph, y, scale, zero_point, node.output[0])
