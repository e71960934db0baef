"""com.microsoft.MatMulNBits as a product with the dequantized matrix, which is a constant."""

import numpy as np
import onnx

from ....errors import QuakeError
from .graph import Graph, attributes


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard.

    Raises
    ------
    QuakeError
        If the weights are computed, and for numbers of bits other than 2, 4 and 8.
    """
    x, *_ = node.input
    given = attributes(node)
    weights, scales, points, order, bias = (
        graph.constant_value(name) if name else None for name in [*node.input[1:], "", "", ""][:5]
    )
    bits = given.get("bits", 4)
    if weights is None or scales is None or (points is None and [*node.input, "", ""][3]):
        raise QuakeError("com.microsoft.MatMulNBits: its weights must be constants")
    if bits not in (2, 4, 8) or order is not None:
        raise QuakeError(
            f"com.microsoft.MatMulNBits with {bits} bits"
            f"{' and g_idx' if order is not None else ''} is not supported: quantize to 2, 4 or "
            "8 bits without it"
        )
    matrix = _dequantized(weights, scales, points, bits, given["N"], given["K"])
    name = graph.constant(matrix.T, graph.dtype(x), "weights")
    if bias is None:
        graph.emit("MatMul", [x, name], node.output[0])
        return
    graph.emit("Add", [graph.emit("MatMul", [x, name]), node.input[5]], node.output[0])


def _dequantized(
    weights: np.ndarray,
    scales: np.ndarray,
    points: np.ndarray | None,
    bits: int,
    columns: int,
    rows: int,
) -> np.ndarray:
    """The matrix (columns, rows), whose rows are quantized in blocks.

    Parameters
    ----------
    weights : uint8 (columns, blocks, bytes)
    scales : float (columns · blocks)
    points : uint8, packed for each column, or float (columns · blocks), or None
    """
    blocks = weights.shape[1]
    values = _unpacked(weights, bits).astype(np.float32)
    if points is None:
        zeros = np.full((columns, blocks), 1 << (bits - 1), np.float32)
    elif points.dtype == np.uint8:
        zeros = _unpacked(points.reshape(columns, -1), bits)[:, :blocks].astype(np.float32)
    else:
        zeros = points.reshape(columns, blocks).astype(np.float32)
    scales = scales.reshape(columns, blocks, 1).astype(np.float32)
    return ((values - zeros[..., None]) * scales).reshape(columns, -1)[:, :rows]


def _unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """The numbers of so many bits in bytes, the lowest bits first, along the last dimension."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    numbers = (packed[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return numbers.reshape(*packed.shape[:-1], -1)
