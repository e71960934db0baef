"""Makers of one quantized operator each. The library promises ONNX Runtime's bytes for these."""

from collections.abc import Callable, Sequence

import numpy as np

from .graph import Graph

BYTES = (np.uint8, np.int8)
WORDS = (np.uint16, np.int16)
MICROSOFT = "com.microsoft"
# uint8 by int8 is what most tools write; ONNX Runtime takes no int8 by uint8 in convolutions.
PAIRS = ((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8))
DEPTHS = (1, 3, 4, 7, 16, 33, 64, 100, 259)
COLUMNS = (1, 2, 5, 16, 17, 33)
Maker = Callable[[Graph], object]
# A convolution gives a model other layouts, and its quantizations another form.
CONVOLUTIONS: list[Maker] = []
OTHERS: list[Maker] = []


def _makes(makers: list[Maker]) -> Callable[[Maker], Maker]:
    def enter(maker: Maker) -> Maker:
        makers.append(maker)
        return maker

    return enter


def _along(g: Graph, count: int) -> tuple[int, ...]:
    """The shape of parameters: one for all, or one for each channel."""
    return (count,) if g.chance(0.4) else ()


def _window(g: Graph, groups: int) -> dict[str, object]:
    kernel = [g.integer(1, 4) for _ in range(g.pick([1, 2, 2, 2, 3]))]
    return {
        "group": groups,
        "kernel_shape": kernel,
        "pads": [g.integer(0, k) for k in kernel * 2],
        "strides": [g.integer(1, 3) for _ in kernel],
        "dilations": [g.integer(1, 2) for _ in kernel],
    }


def _convolution(g: Graph, pair: tuple[type, type]) -> tuple[str, str, int, int, dict]:
    """Data, weights, output channels, depth and attributes; dense, grouped or depthwise."""
    g.sums_products()
    groups = g.pick([1, 1, 1, 2, 3, 8, 17])
    inside, out = (1 if groups > 3 else g.integer(1, 9)), groups * g.integer(1, 5)
    given = _window(g, groups)
    kernel = given["kernel_shape"]
    x = g.byte_input(
        pair[0], (g.integer(1, 2), groups * inside, *(g.integer(7, 11) for _ in kernel))
    )
    w = g.byte_weights(pair[1], (out, inside, *kernel))
    return x, w, out, inside * int(np.prod(kernel)), given


@_makes(CONVOLUTIONS)
def convolution(g: Graph) -> None:
    """QLinearConv."""
    pair = g.pick(PAIRS)
    x, w, out, depth, given = _convolution(g, pair)
    along = _along(g, out)
    # ONNX Runtime wants one zero point for all channels.
    zero = g.constant(np.full(along, 0 if pair[1] == np.int8 else 128), pair[1])
    result = g.scale(0.015 * depth**0.5), g.zero(pair[0])
    operands = [x, g.scale(0.02), g.zero(pair[0]), w, g.scale(0.01, along), zero, *result]
    if g.chance(0.6):
        most = 2 ** g.pick([10, 20, 30])
        operands.append(g.constant(g.random.integers(-most, most, out), np.int32))
    g.node("QLinearConv", operands, **given)


@_makes(CONVOLUTIONS)
def integer_convolution(g: Graph) -> None:
    """ConvInteger."""
    pair = g.pick(PAIRS)
    x, w, _, _, given = _convolution(g, pair)
    g.node("ConvInteger", [x, w, g.zero(pair[0]), g.zero(pair[1])], **given)


def _factors(g: Graph, pair: tuple[type, type]) -> tuple[str, str, int, int]:
    """Two matrices, perhaps batches of them, and their depth and columns."""
    g.sums_products()
    depth, rows, columns = g.pick(DEPTHS), g.integer(1, 9), g.pick(COLUMNS)
    batch = g.pick([(), (), (2,), (2, 3)])
    x = g.byte_input(pair[0], (*batch, rows, depth))
    w = g.byte_weights(pair[1], (*(batch if g.chance(0.5) else ()), depth, columns))
    return x, w, depth, columns


@_makes(OTHERS)
def product(g: Graph) -> None:
    """QLinearMatMul."""
    pair = g.pick([*PAIRS, (np.int8, np.uint8)])
    x, w, depth, columns = _factors(g, pair)
    along = _along(g, columns) if g.values[w].ndim == 2 else ()
    first = x, g.scale(0.02), g.zero(pair[0])
    second = w, g.scale(0.02, along), g.zero(pair[1], along)
    g.node("QLinearMatMul", [*first, *second, g.scale(1.5 * depth**0.5), g.zero(pair[0])])


@_makes(OTHERS)
def integer_product(g: Graph) -> None:
    """MatMulInteger."""
    pair = g.pick([*PAIRS, (np.int8, np.uint8)])
    x, w, _, columns = _factors(g, pair)
    along = _along(g, columns) if g.values[w].ndim == 2 else ()
    g.node("MatMulInteger", [x, w, g.zero(pair[0]), g.zero(pair[1], along)])


@_makes(OTHERS)
def gemm(g: Graph) -> None:
    """QGemm."""
    g.sums_products()
    pair, rows, depth, columns = g.pick(PAIRS), g.integer(1, 9), g.pick(DEPTHS), g.pick(COLUMNS)
    turned, other = g.integer(0, 1), g.integer(0, 1)
    x = g.byte_input(pair[0], (depth, rows) if turned else (rows, depth))
    w = g.byte_weights(pair[1], (columns, depth) if other else (depth, columns), 0)
    along = _along(g, columns)
    operands = [x, g.scale(0.02), g.zero(pair[0])]
    operands += [w, g.scale(0.02, along), g.zero(pair[1], along)]
    operands.append(g.constant(g.random.integers(-(2**20), 2**20, columns), np.int32))
    operands += [g.scale(1.5 * depth**0.5), g.zero(pair[0])]
    given = {"transA": turned, "transB": other, "alpha": g.pick([1.0, 1.0, 0.3, 2.0])}
    g.node("QGemm", operands, domain=MICROSOFT, **given)


def _tensor(g: Graph, dtype: type, shape: Sequence[int]) -> list[str]:
    return [g.byte_input(dtype, shape), g.scale(0.03), g.zero(dtype)]


def _shape(g: Graph) -> tuple[int, ...]:
    return g.pick([(2, 3, 8, 6), (4, 33), (1, 5, 9, 7), (64,), (300,)])


@_makes(OTHERS)
def multiplication(g: Graph) -> None:
    """QLinearMul, also of tensors that broadcast."""
    dtype, shape = g.pick(BYTES), _shape(g)
    other = g.pick([shape, shape[-1:], (1,) * len(shape)])
    operands = [*_tensor(g, dtype, shape), *_tensor(g, dtype, other)]
    g.node("QLinearMul", [*operands, g.scale(0.05), g.zero(dtype)], domain=MICROSOFT)


@_makes(OTHERS)
def function(g: Graph) -> None:
    """QLinearSigmoid and QLinearLeakyRelu."""
    dtype = g.pick(BYTES)
    operands = _tensor(g, dtype, _shape(g))
    if g.chance(0.5):
        result = [g.scale(1 / 256), g.zero(dtype)]
        g.node("QLinearSigmoid", operands + result, domain=MICROSOFT)
        return
    result, alpha = [g.scale(0.05), g.zero(dtype)], g.pick([0.1, 0.3, -0.5, 2.0, 0.0])
    g.node("QLinearLeakyRelu", operands + result, domain=MICROSOFT, alpha=alpha)


@_makes(OTHERS)
def concatenation(g: Graph) -> None:
    """QLinearConcat."""
    dtype, shape = g.pick(BYTES), _shape(g)
    axis = g.integer(-len(shape), len(shape) - 1)
    result = [g.scale(0.05), g.zero(dtype)]
    parts = [each for _ in range(g.integer(1, 3)) for each in _tensor(g, dtype, shape)]
    g.node("QLinearConcat", result + parts, domain=MICROSOFT, axis=axis)


@_makes(OTHERS)
def quantization(g: Graph) -> None:
    """QuantizeLinear to 8 or 16 bits, and back."""
    dtype, shape = g.pick([*BYTES, *WORDS]), g.pick([(4, 33), (2, 3, 8, 6), (300,)])
    along = _along(g, shape[0])
    axis = {"axis": 0} if along else {}
    x = g.float_input(shape)
    scale, zero = g.scale(0.03, along), g.zero(dtype, along)
    (made,) = g.node("QuantizeLinear", [x, scale, zero], **axis)
    if g.chance(0.5):
        g.node("DequantizeLinear", [made, scale, zero], **axis)


@_makes(OTHERS)
def dynamic_product(g: Graph) -> None:
    """DynamicQuantizeLinear and MatMulInteger, as ``quantize_dynamic`` writes them."""
    depth, columns, dtype = g.pick(DEPTHS), g.pick(COLUMNS), g.pick(BYTES)
    shape = g.pick([(4, depth), (2, 3, depth), (1, depth)])
    x = g.input(np.float32, shape, np.round(g.random.standard_normal(shape) * 8).astype(np.float32))
    made, _, zero = g.node("DynamicQuantizeLinear", [x], 3)
    w = g.byte_weights(dtype, (depth, columns), 0)
    g.node("MatMulInteger", [made, w, zero, g.zero(dtype, _along(g, columns))])
