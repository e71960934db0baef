"""Quantized values."""

import numpy as np
from onnx import TensorProto

from .case import Case, K, c, f, i, s


def quantization() -> list[Case]:
    x = f(3, 4) * 9
    halves = np.float32([0.5, 1.5, 2.5, -0.5, 300, -300, np.nan, np.inf, -np.inf])
    return [
        c("QuantizeLinear", x, s(0.1), K(np.uint8(100))),
        c("QuantizeLinear", halves, s(1.0)),
        c("QuantizeLinear", halves, s(1.0), K(np.int8(3))),
        c("QuantizeLinear", x, np.float32(0.2), np.int8(-5)),
        c("QuantizeLinear", x, K(np.abs(f(4)) + 0.1), K(i(4, dtype="int8"))),
        c("QuantizeLinear", x, K(np.abs(f(3)) + 0.1), K(i(3, dtype="int8")), axis=0),
        c("QuantizeLinear", x, K(np.abs(f(3)) + 0.1), output_dtype=TensorProto.INT8, axis=-2),
        c("DequantizeLinear", i(3, 4, dtype="int8"), s(0.1), K(np.int8(3))),
        c("DequantizeLinear", i(3, 4, low=0, dtype="uint8"), s(0.1)),
        c("DequantizeLinear", i(3, 4, dtype="int8"), K(f(4)), K(i(4, dtype="int8"))),
        c("DequantizeLinear", i(3, 4, dtype="int8"), K(f(3)), K(i(3, dtype="int8")), axis=0),
        c("DequantizeLinear", i(3, 4, dtype="int32", low=-999, high=999), s(0.1)),
        c("DequantizeLinear", i(3, 4, dtype="int8"), s(0.1), output_dtype=TensorProto.FLOAT16),
        *blocks(),
        c("DynamicQuantizeLinear", x, outputs=3),
        c("DynamicQuantizeLinear", np.abs(x), outputs=3),
        c("DynamicQuantizeLinear", -np.abs(x), outputs=3),
        c("DynamicQuantizeLinear", 0 * x, outputs=3),
        # The zero point would be NaN.
        c("DynamicQuantizeLinear", np.float32([-np.inf, 1, 2, 3]), outputs=3),
        c("DynamicQuantizeLinear", np.float32([0, 1e-45, 3e-45, 0]), outputs=3),
    ]


def blocks() -> list[Case]:
    """Scales of blocks, the last of which may be shorter."""
    x, of_rows, of_columns = f(6, 8) * 9, np.abs(f(2, 8)) + 0.1, K(np.abs(f(6, 2)) + 0.1)
    bytes_, odd = i(6, 8, dtype="int8"), np.float32([np.nan, np.inf, -np.inf, 1.5])
    return [
        c("QuantizeLinear", x, of_columns, K(i(6, 2, dtype="int8")), block_size=4),
        c("QuantizeLinear", odd, K(np.float32([1, 3])), K(np.int8([9, -9])), block_size=2, axis=0),
        c("QuantizeLinear", x, K(of_rows), K(i(2, 8, low=0, dtype="uint16")), block_size=4, axis=0),
        c("QuantizeLinear", x, of_rows, block_size=3, axis=-2, output_dtype=TensorProto.INT16),
        c("DequantizeLinear", bytes_, of_columns, K(i(6, 2, dtype="int8")), block_size=4),
        c("DequantizeLinear", bytes_, of_rows, block_size=4, axis=0),
        c("DequantizeLinear", bytes_, K(of_rows.astype("float16")), block_size=3, axis=0),
    ]
