"""Quantized values in rewrites: their real values, and the way back to few bits.

Knows no operator.
"""

from collections.abc import Sequence
from typing import Any

from onnx import TensorProto

from .graph import Graph


def dequantized(graph: Graph, value: Sequence[str], axis: int | None = None) -> str:
    """Emit the real value of a quantized tensor.

    Parameters
    ----------
    graph : Graph
    value : sequence of str
        The tensor, its scale and its zero point, which may be left out.
    axis : int, optional
        The axis along which scales vary.
    """
    options: dict[str, Any] = {} if axis is None else {"axis": axis}
    return graph.emit("DequantizeLinear", _given(value), **options)


def quantized(graph: Graph, x: str, scale: str, zero_point: str, output: str) -> None:
    """Emit the quantization of a real value. The type is the zero point's, uint8 without one."""
    graph.emit("QuantizeLinear", _given([x, scale, zero_point]), output)


def widened(graph: Graph, scale: str) -> str:
    """The scale in float32."""
    if graph.dtype(scale) == TensorProto.FLOAT:
        return scale
    return graph.emit("Cast", [scale], to=TensorProto.FLOAT)


def scaled(graph: Graph, sums: str, scale: str, output: str = "") -> str:
    """Emit the real value of int32 sums, whose scale broadcasts to them."""
    real = graph.emit("Cast", [sums], to=TensorProto.FLOAT)
    return graph.emit("Mul", [real, scale], output)


def requantized(graph: Graph, sums: str, scale: str, result: Sequence[str], output: str) -> None:
    """Emit the quantization of int32 sums: one multiplication, then rounding.

    Parameters
    ----------
    graph : Graph
    sums : str
    scale : str
        That of the sums. It broadcasts to them.
    result : sequence of str
        The result's scale and zero point.
    output : str
    """
    factor = graph.emit("Div", [scale, result[0]])
    one = graph.constant(1, TensorProto.FLOAT, "one")
    quantized(graph, scaled(graph, sums, factor), one, result[1], output)


def _given(names: Sequence[str]) -> list[str]:
    """The inputs without a trailing one that is left out."""
    return list(names[:-1] if not names[-1] else names)
