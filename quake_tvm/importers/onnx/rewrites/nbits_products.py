"""com.microsoft.MatMulNBits as a product with the dequantized matrix, which is a constant."""

from dataclasses import dataclass

import numpy as np
import onnx

from ....errors import QuakeError
from .graph import Graph, attributes


@dataclass(frozen=True)
class _Matrix:
    """A matrix (columns, rows) whose rows are quantized in blocks.

    Attributes
    ----------
    weights : uint8 (columns, blocks, bytes)
    scales : float (columns · blocks)
    points : uint8, packed for each column, or float (columns · blocks), or None
        The zero points.
    order : int (rows), or None
        The block of each row, if its neighbours are of others.
    """

    weights: np.ndarray
    scales: np.ndarray
    points: np.ndarray | None
    order: np.ndarray | None


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit nodes of the standard.

    Raises
    ------
    QuakeError
        If the weights are computed, for numbers of bits other than 2, 4 and 8, for weights, scales
        or zero points of other sizes than N, K and block_size give, and for a g_idx that ONNX
        Runtime does not compute as its definition says.
    """
    x, *inputs, bias = [*node.input, "", "", ""][:6]
    given = attributes(node)
    weights, scales, points, order = (graph.constant_value(name) for name in inputs)
    lacks = any(inputs[k] and value is None for k, value in ((2, points), (3, order)))
    if weights is None or scales is None or lacks:
        raise QuakeError("com.microsoft.MatMulNBits: its weights must be constants")
    bits = given.get("bits", 4)
    if bits not in (2, 4, 8):
        raise QuakeError(
            f"com.microsoft.MatMulNBits with {bits} bits is not supported: quantize to 2, 4 or 8"
        )
    packed = _Matrix(weights, scales, points, order)
    _check_sizes(packed, bits, given["block_size"], given["N"], given["K"])
    _check_order(packed, bits)
    matrix = _dequantized(packed, bits, given["block_size"], given["N"], given["K"])
    name = graph.constant(matrix.T, graph.dtype(x), "weights")
    if not bias:
        graph.emit("MatMul", [x, name], node.output[0])
        return
    graph.emit("Add", [graph.emit("MatMul", [x, name]), bias], node.output[0])


def _check_sizes(packed: _Matrix, bits: int, size: int, columns: int, rows: int) -> None:
    """Refuse other numbers than those of the matrix (columns, rows) in blocks of so many rows."""
    if rows < 1:
        raise QuakeError("com.microsoft.MatMulNBits: K must be at least 1")
    blocks = -(-rows // size)
    sizes = [
        ("weights", packed.weights, columns * blocks * (size * bits // 8)),
        ("scales", packed.scales, columns * blocks),
    ]
    if packed.points is not None:
        bytes_ = packed.points.dtype == np.uint8
        each = -(-blocks * bits // 8) if bytes_ else blocks
        sizes.append(("zero points", packed.points, columns * each))
    for name, given, wanted in sizes:
        if given.size != wanted:
            raise QuakeError(
                f"com.microsoft.MatMulNBits: its {name} have {given.size} numbers, where N, K, "
                f"bits and block_size give {wanted}"
            )


def _check_order(packed: _Matrix, bits: int) -> None:
    order = packed.order
    if order is None:
        return
    if bits != 4 or packed.points is not None:
        raise QuakeError(
            "com.microsoft.MatMulNBits with g_idx is supported for 4 bits without zero points: "
            "quantize without g_idx"
        )
    if order.min(initial=0) < 0 or order.max(initial=0) >= packed.weights.shape[1]:
        raise QuakeError("com.microsoft.MatMulNBits: g_idx has blocks that do not exist")


def _dequantized(packed: _Matrix, bits: int, size: int, columns: int, rows: int) -> np.ndarray:
    """The matrix (columns, rows), in blocks of so many rows."""
    weights, points, order = packed.weights, packed.points, packed.order
    blocks = weights.shape[1]
    values = unpacked(weights, bits).astype(np.float32).reshape(columns, -1)[:, :rows]
    if points is None:
        zeros = np.full((columns, blocks), 1 << (bits - 1), np.float32)
    elif points.dtype == np.uint8:
        zeros = unpacked(points.reshape(columns, -1), bits)[:, :blocks].astype(np.float32)
    else:
        zeros = points.reshape(columns, blocks).astype(np.float32)
    scales = packed.scales.reshape(columns, blocks).astype(np.float32)
    of_row = np.arange(rows) // size if order is None else order.reshape(-1)[:rows]
    return (values - zeros[:, of_row]) * scales[:, of_row]


def unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """The numbers of 2, 4 or 8 bits in uint8, the lowest bits first, along the last dimension."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    numbers = (packed[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return numbers.reshape(*packed.shape[:-1], -1)
