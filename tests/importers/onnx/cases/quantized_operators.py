"""Operators on quantized tensors: the standard's and ONNX Runtime's."""

from functools import partial

import numpy as np
from ml_dtypes import int4, uint4

from .case import Case, K, c, f, i, s

ms = partial(c, domain="com.microsoft")


def numbers(*shape: int, dtype: str = "uint8") -> np.ndarray:
    """Numbers over the whole range of a type."""
    limits = np.iinfo(dtype)
    return i(*shape, low=limits.min, high=limits.max + 1, dtype=dtype)


def scales(*shape: int) -> K:
    return K((np.abs(f(*shape)) * 0.02 + 0.01).astype(np.float32))


def zero(value: int, dtype: str = "uint8") -> K:
    return s(value, dtype)


def quantized_operators() -> list[Case]:
    return [*products(), *convolutions(), *real(), *functions(), *few_bits()]


def products() -> list[Case]:
    a, b = numbers(2, 3, 40), numbers(40, 5, dtype="int8")
    result = [s(0.9), zero(120)]
    signed = [s(0.9), zero(-7, "int8")]
    columns = [scales(5), K(numbers(5, dtype="int8"))]
    turned = [numbers(40, 3), s(0.02), zero(100), K(numbers(5, 40)), s(0.03), zero(130)]
    bias = K(i(5, low=-999, high=999, dtype="int32"))
    return [
        c("MatMulInteger", a, K(b), zero(9), K(numbers(5, dtype="int8"))),
        c("MatMulInteger", a, numbers(2, 40, 5), zero(9), zero(4)),
        c("QLinearMatMul", a, s(0.02), zero(100), K(b), s(0.03), zero(3, "int8"), *result),
        c("QLinearMatMul", a, s(0.02), zero(100), K(b), *columns, *result),
        c("QLinearMatMul", a, s(0.02), zero(100), numbers(2, 40, 5), s(0.03), zero(99), *result),
        c(
            "QLinearMatMul",
            *(numbers(3, 40, dtype="int8"), s(0.02), zero(-9, "int8")),
            *(K(b), s(0.03), zero(0, "int8")),
            *signed,
        ),
        ms("QGemm", numbers(3, 40), s(0.02), zero(9), K(b), *columns, bias, *result),
        ms("QGemm", *turned, bias, *result, transA=1, transB=1, alpha=0.3),
        ms("QGemm", *turned, None, *result, transA=1, transB=1),
        ms("QGemm", *turned, bias, transA=1, transB=1),
    ]


def convolutions() -> list[Case]:
    x, w = numbers(2, 4, 7, 6), numbers(6, 4, 3, 3, dtype="int8")
    given = [s(0.02), zero(101)]
    result = [s(0.9), zero(120)]
    weights = [K(w), s(0.03), zero(0, "int8")]
    each = [K(w), scales(6), K(np.zeros(6, "int8"))]
    bias = K(i(6, low=-999, high=999, dtype="int32"))
    grouped = K(numbers(6, 2, 3, 3, dtype="int8"))
    line = [K(numbers(6, 4, 3, dtype="int8")), *each[1:]]
    last = {"channels_last": 1}
    sized = {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}
    return [
        c("ConvInteger", x, K(numbers(6, 4, 3, 3)), zero(7), zero(130), **sized),
        c("ConvInteger", x, K(numbers(6, 4, 3, 3)), zero(7), auto_pad="SAME_UPPER"),
        c("ConvInteger", x, K(numbers(6, 2, 3, 3)), None, zero(3), group=2),
        c("QLinearConv", x, *given, *weights, *result, bias, **sized),
        c("QLinearConv", x, *given, *each, *result, bias, auto_pad="SAME_LOWER"),
        c("QLinearConv", x, *given, grouped, *each[1:], *result, group=2, pads=[1, 1, 1, 1]),
        c("QLinearConv", x, *given, K(numbers(6, 4, 3, 3)), s(0.03), zero(128), *result),
        ms("QLinearConv", x, *given, *weights, *result, bias, **sized),
        ms("QLinearConv", numbers(2, 7, 6, 4), *given, *each, *result, bias, **last, **sized),
        ms("QLinearConv", numbers(2, 7, 4), *given, *line, *result, **last),
        c(
            "QLinearConv",
            *(numbers(2, 4, 7, 6, dtype="int8"), s(0.02), zero(-9, "int8")),
            *(*each, s(0.9), zero(3, "int8"), bias),
        ),
    ]


def real() -> list[Case]:
    """Operators whose results are real."""
    b, bias = K(numbers(40, 5, dtype="int8")), K(f(5))
    columns = K(numbers(5, dtype="int8"))
    projection = [K(numbers(8, 24)), K(f(24)), s(0.01), s(0.01)]
    mask = np.array([[1, 1, 0], [1, 1, 1]], np.int32)
    return [
        ms("DynamicQuantizeMatMul", f(2, 3, 40), b, scales(5)),
        ms("DynamicQuantizeMatMul", f(2, 3, 40), b, scales(5), columns, bias),
        ms("MatMulIntegerToFloat", numbers(3, 40), b, s(0.02), scales(5)),
        ms("MatMulIntegerToFloat", numbers(3, 40), b, s(0.02), s(0.03), zero(9), None, bias),
        ms("MatMulIntegerToFloat", numbers(3, 40), b, s(0.02), scales(5), zero(9), columns, bias),
        ms("QAttention", numbers(2, 3, 8), *projection, num_heads=2),
        ms(
            "QAttention",
            *(numbers(2, 3, 8), *projection, mask, zero(120), zero(130)),
            num_heads=2,
            unidirectional=1,
            mask_filter_value=-1e4,
        ),
    ]


def functions() -> list[Case]:
    x, y = numbers(2, 4, 6, 8), numbers(4, 1, 8)
    # No multiples of each other: ONNX Runtime rounds ties in its own way.
    first, second = [s(0.0213), zero(99)], [s(0.0537), zero(140)]
    result = [s(0.0611), zero(120)]
    signed = [numbers(3, 8, dtype="int8"), s(0.03), zero(3, "int8")]
    last = {"channels_last": 1}
    window = {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 1]}
    return [
        ms("QLinearAdd", x, *first, y, *second, *result),
        ms("QLinearMul", x, *first, y, *second, *result),
        ms("QLinearMul", x, s(0.02), zero(99), y, s(0.05), zero(140), s(0.1), zero(121)),
        ms("QLinearSigmoid", x, *second, s(1 / 256), zero(0)),
        ms("QLinearSigmoid", signed[0], s(0.05), None, s(1 / 256), zero(-128, "int8")),
        ms("QLinearLeakyRelu", *signed, s(0.04), zero(0, "int8"), alpha=0.3),
        ms("QLinearSoftmax", x, *first, s(1 / 256), zero(0), axis=-1, opset=13),
        ms("QLinearSoftmax", x, *first, s(1 / 4096), zero(0), axis=2, opset=11),
        ms("QLinearConcat", *result, x, *first, x, *second, axis=1),
        ms("QLinearWhere", i(4, 6, 1, low=0, high=2, dtype="bool"), x, *first, y, *second, *result),
        ms("QLinearAveragePool", x, *first, *result, count_include_pad=1, **window),
        ms("QLinearAveragePool", x, *first, *result, ceil_mode=1, auto_pad="NOTSET", **window),
        ms("QLinearAveragePool", x, *first, *result, **last, **window),
        ms("QLinearGlobalAveragePool", x, *first, s(0.00971), zero(120)),
        ms("QLinearGlobalAveragePool", x, *first, s(0.00971), zero(120), **last),
        ms("NhwcMaxPool", x, dilations=[1, 2], **window),
        ms("NhwcMaxPool", signed[0].reshape(1, 3, 8, 1), ceil_mode=1, **window),
        *tables(),
    ]


def tables() -> list[Case]:
    """Embeddings whose tables are quantized."""
    ids = i(2, 3, low=0, high=5, dtype="int32")
    rows = [K(numbers(n, 8)) for n in (5, 6, 2)]
    norm = [K(numbers(8)), K(numbers(8))]
    sizes, points = [s(0.01 * (k + 1)) for k in range(5)], [zero(100 + k) for k in range(5)]
    mask = np.array([[1, 1, 0], [1, 1, 1]], np.int32)
    normalized = partial(ms, "QEmbedLayerNormalization", outputs=2)
    without = [[*x[:2], None, *x[3:]] for x in ([*rows, *norm], sizes, points)]
    gathered = partial(ms, "GatherBlockQuantized")
    nibbles = K(i(5, 40, low=0, high=16, dtype="uint8").astype(uint4))
    columns = [scales(1, 40), K(nibbles.value[:1])]
    signed = K(i(5, 40, low=-8, high=8, dtype="int8").astype(int4))
    return [
        normalized(ids, ids % 2, *rows, *norm, mask, *sizes, *points, epsilon=0.2),
        normalized(ids, None, *without[0], None, *without[1], *without[2]),
        gathered(K(numbers(5, 32)), ids, scales(5, 4), block_size=16),
        gathered(K(numbers(5, 32)), ids, scales(5, 2), K(numbers(5, 2)), bits=8, block_size=16),
        gathered(K(numbers(5, 32)), ids, scales(5, 4), K(numbers(5, 2)), bits=4, block_size=16),
        gathered(signed, ids, scales(5, 3), block_size=16, quantize_axis=1),
        gathered(nibbles, ids, *columns, block_size=16, quantize_axis=0, gather_axis=1),
    ]


def few_bits() -> list[Case]:
    """Weights of 16 and 4 bits, and weights with scales for blocks."""
    x = f(3, 6)
    small = K(i(4, 6, low=-8, high=8, dtype="int8").astype(int4))
    unsigned = K(i(4, 6, low=0, high=16, dtype="uint8").astype(uint4))
    blocks = {"axis": 1, "block_size": 2, "since": 21}
    return [
        c("DequantizeLinear", K(numbers(3, 4, dtype="int16")), s(0.1), zero(3, "int16"), since=21),
        c("QuantizeLinear", x, s(0.001), zero(30000, "uint16"), since=21),
        c("DequantizeLinear", small, scales(4), axis=0, since=21),
        c("DequantizeLinear", unsigned, s(0.1), K(np.array(7, uint4)), since=21),
        c("DequantizeLinear", K(numbers(4, 6, dtype="int8")), scales(4, 3), **blocks),
        c("DequantizeLinear", unsigned, scales(4, 3), K(unsigned.value[:, :3]), **blocks),
    ]
