"""Matrix products and convolutions."""

import numpy as np

from .graph import Graph, Skip
from .makers import makes


@makes("MatMul", weight=5.0)
def matmul(g: Graph, op: str) -> None:
    dtype = np.float64 if g.chance(0.05) else np.float32
    x = g.operand(dtype, rank=(1, 4))
    value = g.values[x]
    k, n = value.shape[-1], g.shape(1)[0]
    batch = [d if g.chance(0.7) else 1 for d in value.shape[:-2]]
    way = g.random.random()
    if way < 0.5:
        y = g.weights(k, n, scale=max(k, 1) ** -0.5, dtype=dtype)
    elif way < 0.6:
        y = g.weights(k, scale=max(k, 1) ** -0.5, dtype=dtype)
    elif way < 0.8:
        y = g.input(dtype, (*batch, k, n))
    elif way < 0.9 and value.ndim >= 2:
        order = [*range(value.ndim - 2), value.ndim - 1, value.ndim - 2]
        y = g.one("Transpose", x, perm=order)
    else:
        y = g.weights(*batch, k, n, scale=max(k, 1) ** -0.5, dtype=dtype)
    z = g.one(op, x, y)
    if g.chance(0.4) and g.values[z].ndim:
        bias = g.weights(g.values[z].shape[-1], dtype=dtype)
        g.one("Add", *([z, bias] if g.chance(0.5) else [bias, z]))


@makes("Gemm", weight=1.5)
def gemm(g: Graph, op: str) -> None:
    x = g.operand(rank=2)
    across, down = g.integer(0, 1), g.integer(0, 1)
    m, k = g.values[x].shape[::-1] if across else g.values[x].shape
    n = g.shape(1)[0]
    shape = (n, k) if down else (k, n)
    y = g.weights(*shape) if g.chance(0.7) else g.input(np.float32, shape)
    bias = [g.weights(*g.pick([(n,), (1, n), (m, 1), (m, n), (1,), ()]))] if g.chance(0.7) else []
    if not bias and g.opset < 11:
        raise Skip
    factors = (
        {"alpha": g.pick([0.5, 2.0]), "beta": g.pick([0.0, 0.5, 2.0])} if g.chance(0.3) else {}
    )
    g.one(op, x, y, *bias, transA=across, transB=down, **factors)


@makes("Einsum", weight=0.5)
def einsum(g: Graph, op: str) -> None:
    equation = g.pick(
        ["ij,jk->ik", "ij,kj->ik", "bij,bjk->bik", "ij,jk", "i,j->ij", "bhid,bhjd->bhij"]
    )
    sizes = {letter: g.shape(1)[0] for letter in "ijk"} | {
        letter: g.integer(1, 4) for letter in "bhd"
    }
    left, right = (
        tuple(sizes[letter] for letter in term) for term in equation.split("->")[0].split(",")
    )
    other = g.input(np.float32, right) if g.chance(0.5) else g.weights(*right)
    g.one(op, g.input(np.float32, left), other, equation=equation)


@makes("MatMulInteger", weight=0.4)
def integer_product(g: Graph, op: str) -> None:
    m, k, n = g.shape(3, 4000)
    left, right = g.pick([(np.uint8, np.uint8), (np.uint8, np.int8)])
    zeros = []
    if g.chance(0.6):
        zeros = [g.constant(3, left), g.constant(2, right)][: g.integer(1, 2)]
    g.one(op, g.input(left, (m, k)), g.constant(g.array(right, (k, n))), *zeros)


@makes("Conv", weight=5.0)
def convolution(g: Graph, op: str) -> None:
    rank = g.pick([1, 2, 2, 2, 3])
    x = g.operand(rank=rank + 2, where=lambda v: v.size < 4000 and v.shape[1] > 0)
    value = g.values[x]
    channels = value.shape[1]
    groups = g.pick([1, 1, 1, channels, *(d for d in (2, 3, 4) if channels % d == 0)])
    out = groups * g.pick([1, 1, 2, 3]) if groups > 1 else g.pick([1, 2, 3, 8, 16, 17, 32])
    kernel = [g.pick([1, 2, 3, 3, 5]) for _ in range(rank)]
    if g.chance(0.3):
        kernel = [1] * rank
    attributes = {}
    if g.chance(0.4):
        attributes["strides"] = [g.pick([1, 2, 3]) for _ in range(rank)]
    if g.chance(0.25):
        attributes["dilations"] = [g.pick([1, 2]) for _ in range(rank)]
    if g.chance(0.15):
        attributes["auto_pad"] = g.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif g.chance(0.7):
        attributes["pads"] = [g.pick([0, 1, 1, 2]) for _ in range(2 * rank)]
    if g.chance(0.7):
        attributes["kernel_shape"] = kernel
    if groups > 1:
        attributes["group"] = groups
    fan = channels // groups * int(np.prod(kernel))
    shape = (out, channels // groups, *kernel)
    w = g.input(np.float32, shape) if g.chance(0.1) else g.weights(*shape, scale=fan**-0.5)
    bias = [g.weights(out)] if g.chance(0.6) else []
    g.one(op, x, w, *bias, **attributes)


@makes("ConvTranspose", weight=1.2)
def transposed_convolution(g: Graph, op: str) -> None:
    rank = g.pick([1, 2, 2, 3])
    # ONNX Runtime crashes on an input without elements.
    x = g.operand(rank=rank + 2, where=lambda v: 0 < v.size < 600)
    value = g.values[x]
    channels = value.shape[1]
    groups = g.pick([1, 1, 1, channels, *(d for d in (2, 3) if channels % d == 0)])
    out = g.pick([1, 2, 3, 8])
    kernel = [g.pick([1, 2, 3, 4]) for _ in range(rank)]
    strides = [g.pick([1, 2, 2, 3]) for _ in range(rank)]
    attributes = {"strides": strides} if g.chance(0.8) else {}
    if g.chance(0.2):
        attributes["dilations"] = [g.pick([1, 2]) for _ in range(rank)]
    way = g.random.random()
    if way < 0.1:
        attributes["auto_pad"] = g.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif way < 0.15:
        attributes["output_shape"] = [n * 2 + 1 for n in value.shape[2:]]
    elif way < 0.7:
        attributes["pads"] = [g.pick([0, 0, 1]) for _ in range(2 * rank)]
    if g.chance(0.3) and "strides" in attributes:
        attributes["output_padding"] = [g.integer(0, s - 1) for s in strides]
    if groups > 1:
        attributes["group"] = groups
    if g.chance(0.5):
        attributes["kernel_shape"] = kernel
    bias = [g.weights(out * groups)] if g.chance(0.5) else []
    g.one(op, x, g.weights(channels, out, *kernel), *bias, **attributes)
