"""com.microsoft.GatherBlockQuantized as a Gather from the dequantized table."""

import numpy as np
import onnx

from ....errors import QuakeError
from .graph import Graph, attributes
from .nbits_products import unpacked


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit a Gather.

    Raises
    ------
    QuakeError
        If the table is computed or of floats, and for blocks that do not cover it.
    """
    data, indices, scales, points = [*node.input, ""][:4]
    given = attributes(node)
    table, factors, zeros = (graph.constant_value(name) for name in (data, scales, points))
    if table is None or factors is None or (points and zeros is None):
        raise QuakeError("com.microsoft.GatherBlockQuantized: its table must be constants")
    bits = given.get("bits", 4)
    if table.dtype == np.uint8:
        table = unpacked(table, bits)
        zeros = np.array(1 << (bits - 1)) if zeros is None else unpacked(zeros, bits)
    elif table.dtype.name not in ("int4", "uint4"):
        raise QuakeError(
            f"com.microsoft.GatherBlockQuantized of {table.dtype} is not supported: quantize to "
            "integers of 2, 4 or 8 bits"
        )
    size, axis = given.get("block_size", 128), given.get("quantize_axis", 1)
    if size < 1 or factors.shape[axis] * size < table.shape[axis]:
        raise QuakeError("com.microsoft.GatherBlockQuantized: its scales do not cover its table")
    blocks = np.arange(table.shape[axis]) // size
    real = table.astype(np.float32)
    if zeros is not None:
        real -= _each(zeros.astype(np.float32), blocks, axis)
    real *= _each(factors.astype(np.float32), blocks, axis)
    name = graph.constant(real, graph.dtype(scales), "table")
    graph.emit("Gather", [name, indices], node.output[0], axis=given.get("gather_axis", 0))


def _each(values: np.ndarray, blocks: np.ndarray, axis: int) -> np.ndarray:
    """The values of the blocks, for each place along the axis; a scalar as it is."""
    return np.take(values, blocks, axis) if values.ndim else values
