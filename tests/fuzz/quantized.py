"""Products and convolutions of bytes, in the forms that tools for quantization write."""

import numpy as np

from .graph import Graph
from .makers import makes, scalar

BYTES = (np.int8, np.uint8)


def _numbers(g: Graph, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """Bytes from the whole range of their type."""
    limits = np.iinfo(dtype)
    return g.random.integers(limits.min, limits.max + 1, shape).astype(dtype)


def _zero(g: Graph, dtype: type) -> str:
    """A zero point, often at an end of its type's range or in the middle."""
    limits = np.iinfo(dtype)
    middle = (limits.min + limits.max + 1) // 2
    return g.constant(g.pick([limits.min, middle, middle + 5, limits.max]), dtype)


def _per_channel(g: Graph, dtype: type, count: int) -> tuple[str, str]:
    """Scales and zero points of weights: one, or one for each channel."""
    shape = (count,) if g.chance(0.5) else ()
    scales = g.constant(g.random.uniform(0.003, 0.02, shape), np.float32)
    zeros = np.zeros(shape) if dtype == np.int8 else g.random.integers(100, 156, shape)
    return scales, g.constant(zeros, dtype)


@makes("QLinearMatMul", "QDQ MatMul", weight=0.5)
def product(g: Graph, op: str) -> None:
    """A product of a tensor of 1 to 4 dimensions."""
    dtype = g.pick(BYTES)
    weights = np.int8 if dtype == np.int8 else g.pick(BYTES)
    shape, n = g.shape(g.integer(1, 4)), g.shape(1)[0]
    w = g.constant(_numbers(g, weights, (shape[-1], n)))
    _quantized(g, op, _numbers(g, dtype, shape), w, _per_channel(g, weights, n), 1)


@makes("QLinearConv", "QDQ Conv", weight=0.5)
def convolution(g: Graph, op: str) -> None:
    """A convolution, dense or depthwise, with pads, strides and dilations."""
    dtype, rank, channels = g.pick(BYTES), g.pick([1, 2, 2]), g.integer(1, 9)
    groups = g.pick([1, 1, channels])
    out = groups * g.integer(1, 3)
    kernel = [g.integer(1, 3) for _ in range(rank)]
    given = {
        "group": groups,
        "kernel_shape": kernel,
        "pads": [g.integer(0, k - 1) for k in kernel * 2],
        "strides": [g.integer(1, 2) for _ in kernel],
        "dilations": [g.integer(1, 2) for _ in kernel],
    }
    x = _numbers(g, dtype, (g.integer(1, 2), channels, *(g.integer(5, 17) for _ in kernel)))
    w = g.constant(_numbers(g, np.int8, (out, channels // groups, *kernel)))
    _quantized(g, op, x, w, _per_channel(g, np.int8, out), 0, **given)


def _quantized(
    g: Graph,
    op: str,
    x: np.ndarray,
    w: str,
    quantization: tuple[str, str],
    axis: int,
    **given: object,
) -> None:
    dtype = x.dtype.type
    a = [g.input(dtype, x.shape, x), scalar(g, 0.02), _zero(g, dtype)]
    result = [scalar(g, g.pick([0.05, 0.3, 2.0])), _zero(g, dtype)]
    if op.startswith("QLinear"):
        g.one(op, *a, w, *quantization, *result, **given)
        return
    along = {"axis": axis} if g.opset >= 13 and g.values[quantization[0]].ndim else {}
    with g.together() as add:
        real = add("DequantizeLinear", a)
        weights = add("DequantizeLinear", [w, *quantization], **along)
        add("QuantizeLinear", [add(op.split()[1], [real, weights], **given), *result])
