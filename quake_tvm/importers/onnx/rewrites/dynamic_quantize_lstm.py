"""com.microsoft.DynamicQuantizeLSTM as an LSTM of float32.

Its weights are dequantized. Its inputs are not quantized, which ONNX Runtime does at every step.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from ....errors import QuakeError
from .graph import Graph


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the LSTM.

    Raises
    ------
    QuakeError
        If the weights, their scales or their zero points are not constants.
    """
    given = [*node.input, *[""] * (12 - len(node.input))]
    weights = [
        _dequantized(graph, given[1], *given[8:10]),
        _dequantized(graph, given[2], *given[10:]),
    ]
    inputs = [given[0], *weights, *given[3:8]]
    lstm = helper.make_node("LSTM", inputs, node.output, node.name)
    lstm.attribute.extend(node.attribute)
    graph.keep(lstm)


def _dequantized(graph: Graph, weights: str, scale: str, zero_point: str) -> str:
    """Weights (direction, .., gate * unit), transposed to float32 (direction, gate * unit, ..).

    Scales and zero points are (direction,) or (direction, gate * unit).
    """
    numbers, factor, zero = map(graph.constant_value, (weights, scale, zero_point))
    if numbers is None or factor is None or (zero_point and zero is None):
        raise QuakeError("com.microsoft.DynamicQuantizeLSTM: its weights must be constants")

    def spread(array: np.ndarray) -> np.ndarray:
        return array.reshape(numbers.shape[0], 1, -1)

    shifted = numbers.astype(np.float32)
    if zero is not None:
        shifted = shifted - spread(zero).astype(np.float32)
    values = (shifted * spread(factor)).astype(np.float32).transpose(0, 2, 1)
    return graph.constant(values, TensorProto.FLOAT, "weights")
