"""ONNX Runtime's operators on quantized tensors as the same operators on their real values."""

import onnx
from onnx import TensorProto

from ....errors import QuakeError
from . import channels
from .graph import Graph, attributes
from .legacy_softmax import along
from .quantized import dequantized, quantized

_REAL = {
    "QLinearAdd": "Add",
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearSigmoid": "Sigmoid",
}
OPERATORS = tuple(_REAL)


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit one of ``OPERATORS`` between dequantizations and a quantization.

    Raises
    ------
    QuakeError
        If channels are last and the rank is unknown.
    """
    operator = _REAL[node.op_type]
    count = 2 if operator == "Add" else 1
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


def multiply(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit QLinearMul: the product of the integers is exact, and is rounded with the zero point."""
    a, a_scale, a_zero, b, b_scale, b_zero, scale, zero_point = [*node.input, ""][:8]
    zero = graph.constant(0, graph.dtype(a), "zero")
    point = graph.emit("Cast", [zero_point or zero], to=TensorProto.FLOAT)
    product = graph.emit("Mul", [_integers(graph, a, a_zero), _integers(graph, b, b_zero)])
    factor = graph.emit("Div", [graph.emit("Mul", [a_scale, b_scale]), scale])
    y = graph.emit("Add", [graph.emit("Mul", [product, factor]), point])
    one = graph.constant(1, TensorProto.FLOAT, "one")
    quantized(graph, y, one, zero, node.output[0])


def _integers(graph: Graph, x: str, zero_point: str) -> str:
    """The integers minus the zero point, in float32."""
    real = graph.emit("Cast", [x], to=TensorProto.FLOAT)
    if not zero_point:
        return real
    return graph.emit("Sub", [real, graph.emit("Cast", [zero_point], to=TensorProto.FLOAT)])


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


def where(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit QLinearWhere."""
    condition, *values = node.input
    parts = [dequantized(graph, values[k : k + 3]) for k in (0, 3)]
    y = graph.emit("Where", [condition, *parts])
    quantized(graph, y, values[6], values[7], node.output[0])


def _quantized(graph: Graph, y: str, node: onnx.NodeProto, first: int) -> None:
    """Quantize the result by the scale and zero point from this input on."""
    scale, zero_point = [*node.input, ""][first : first + 2]
    zero_point = zero_point or graph.constant(0, graph.dtype(node.input[0]), "zero_point")
    quantized(graph, y, scale, zero_point, node.output[0])
