"""com.microsoft.MatMulBnb4 as a product with the dequantized matrix, which is a constant.

A weight is one of 16 numbers, times a factor for its block: after Dettmers and others, "QLoRA:
Efficient Finetuning of Quantized LLMs", 2023 (NF4), and the library bitsandbytes (FP4).
"""

import numpy as np
import onnx

from ....errors import QuakeError
from .graph import Graph, attributes

_HALF = np.array([0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4], np.float32)
_FP4 = np.concatenate([_HALF, -_HALF])
# The quantiles of a normal distribution, so that each number is as frequent as the others.
_NF4 = np.array(
    [
        *(-1, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0),
        *(0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1),
    ],
    np.float32,
)


def rewrite(node: onnx.NodeProto, graph: Graph) -> None:
    """Emit a MatMul.

    Raises
    ------
    QuakeError
        If the weights are computed.
    """
    x, *inputs = node.input
    given = attributes(node)
    packed, factors = (graph.constant_value(name) for name in inputs)
    if packed is None or factors is None:
        raise QuakeError("com.microsoft.MatMulBnb4: its weights must be constants")
    codes = np.stack([packed >> 4, packed & 15], axis=-1).reshape(-1)
    shape = given["N"], given["K"]
    count = shape[0] * shape[1]
    real = (_NF4 if given["quant_type"] else _FP4)[codes[:count]]
    real *= np.repeat(factors.astype(np.float32), given["block_size"])[:count]
    name = graph.constant(real.reshape(shape).T, graph.dtype(x), "weights")
    graph.emit("MatMul", [x, name], node.output[0])
