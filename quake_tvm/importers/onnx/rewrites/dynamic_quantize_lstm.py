"""com.microsoft.DynamicQuantizeLSTM as an LSTM of int8 weights.

Its weights are transposed to the standard's order, and two further inputs are what their gates and
units are multiplied by. Weights that are no int8 numbers without a zero point, as uint8 ones with
most zero points, are dequantized instead: the LSTM is then of float32.
"""

import numpy as np
import onnx
from onnx import helper

from ....errors import QuakeError
from ....numerics.byte_dots import DEEPEST
from .graph import Graph


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit the LSTM.

    Raises
    ------
    QuakeError
        If the weights, their scales or their zero points are not constants.
    """
    given = [*node.input, *[""] * (12 - len(node.input))]
    values = [_values(graph, given[k], *given[first : first + 2]) for k, first in ((1, 8), (2, 10))]
    bytes_of = [_bytes(*each) for each in values]
    if None in bytes_of:
        weights = [_constant(graph, _dequantized(*each)) for each in values]
        factors = []
    else:
        weights, factors = (
            [_constant(graph, each) for each in parts] for parts in zip(*bytes_of, strict=True)
        )
    inputs = [given[0], *weights, *given[3:8], *factors]
    lstm = helper.make_node("LSTM", inputs, node.output, node.name)
    lstm.attribute.extend(node.attribute)
    graph.keep(lstm)


def _constant(graph: Graph, value: np.ndarray) -> str:
    return graph.constant(value, helper.np_dtype_to_tensor_dtype(value.dtype), "weights")


def _values(
    graph: Graph, weights: str, scale: str, zero_point: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The numbers of weights, their scales and their zero points."""
    numbers, factor, zero = map(graph.constant_value, (weights, scale, zero_point))
    if numbers is None or factor is None or (zero_point and zero is None):
        raise QuakeError("com.microsoft.DynamicQuantizeLSTM: its weights must be constants")
    return numbers, factor, zero


def _bytes(
    numbers: np.ndarray, factor: np.ndarray, zero: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights as int8 without a zero point.

    Parameters
    ----------
    numbers : np.ndarray
        int8 or uint8 (direction, depth, gate * unit).
    factor, zero : np.ndarray
        (direction,) or (direction, gate * unit).

    Returns
    -------
    np.ndarray, np.ndarray
        int8 (direction, gate * unit, depth), and the float32 factors (direction, gate * unit). None
        if some number does not fit, or if a sum might leave int32.
    """
    shifted = _shifted(numbers, zero)
    inside = np.iinfo(np.int8)
    if not shifted.size or shifted.min() < inside.min or shifted.max() > inside.max:
        return None
    if shifted.shape[1] > DEEPEST:
        return None
    factors = np.broadcast_to(_spread(factor, numbers), (len(numbers), 1, numbers.shape[2]))
    return np.ascontiguousarray(shifted.astype(np.int8).transpose(0, 2, 1)), factors[:, 0].astype(
        np.float32
    )


def _dequantized(numbers: np.ndarray, factor: np.ndarray, zero: np.ndarray | None) -> np.ndarray:
    """Weights transposed to float32 (direction, gate * unit, depth)."""
    shifted = _shifted(numbers, zero).astype(np.float32)
    values = shifted * _spread(factor, numbers)
    return np.ascontiguousarray(values.astype(np.float32).transpose(0, 2, 1))


def _shifted(numbers: np.ndarray, zero: np.ndarray | None) -> np.ndarray:
    wide = numbers.astype(np.int32)
    return wide if zero is None else wide - _spread(zero, numbers).astype(np.int32)


def _spread(array: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """One number for each direction, or for each column of each direction, beside ``numbers``."""
    return array.reshape(numbers.shape[0], 1, -1)
