"""Quantized values."""

import numpy as np
from onnx import TensorProto

from .case import Case, K, c, f, i, s


def quantization() -> list[Case]:
    x = f(3, 4) * 9
    halves = np.float32([0.5, 1.5, 2.5, -0.5, 300, -300])
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
        c("DynamicQuantizeLinear", x, outputs=3),
        c("DynamicQuantizeLinear", np.abs(x), outputs=3),
        c("DynamicQuantizeLinear", -np.abs(x), outputs=3),
        c("DynamicQuantizeLinear", 0 * x, outputs=3),
    ]
