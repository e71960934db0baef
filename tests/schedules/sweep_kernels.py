"""Kernels of every rule, with any extents and random choices."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tvm import te, topi

from quake_tvm.kernels import compute
from quake_tvm.machines.targets import target
from quake_tvm.passes.relax.pack_convolutions import depthwise_convolution
from quake_tvm.passes.relax.pack_transposed_convolutions import Phases, transposed_convolution
from quake_tvm.passes.relax.pack_weights import packed_matmul, panels
from quake_tvm.schedules import product_tiles
from tests.schedules.kernels import convolution, pixels, placeholder, window, winograd


@dataclass
class Draw:
    """Random choices for a kernel or an epilogue: extents, numbers, and the inputs it adds."""

    extents: tuple[int, ...]
    rng: random.Random
    kind: str
    inputs: list[te.Tensor]
    given: dict[str, np.ndarray]

    def input(self, *shape: int) -> te.Tensor:
        """Add an input."""
        self.inputs.append(placeholder(*shape, name=f"in{len(self.inputs)}"))
        return self.inputs[-1]

    def some(self, most: int) -> int:
        """A random number from 1 to ``most``."""
        return self.rng.randint(1, max(1, most))


def plain_matmul(d):
    m, n = d.extents
    k = d.some(9)
    return topi.matmul(d.input(m, k), d.input(k, n))


def batched_matmul(d):
    m, n = d.extents
    k, batch = d.some(9), d.some(3)
    a, b = d.input(batch, m, k), d.input(batch, k, n)
    return topi.nn.batch_matmul(a, b, transpose_b=False)


def matmul_of_transposed(d):
    m, n = d.extents
    k, batch = d.some(9), d.some(3)
    a, b = d.input(batch, m, k), d.input(batch, n, k)
    return topi.nn.batch_matmul(a, topi.transpose(b, (0, 2, 1)), transpose_b=False)


def matmul_of_gelu(d):
    m, n = d.extents
    k = d.some(9)
    return topi.matmul(gelu(d.input(m, k)), d.input(k, n))


def panel_width(d, columns):
    return d.rng.choice(list(product_tiles.widths(columns, target(d.kind)).values()))


def matmul_of_panels(d):
    m, n = d.extents
    k, batch, width = d.some(9), d.some(2), panel_width(d, n)
    x = d.input(batch, m, k)
    weights = panels(np.random.default_rng(1).normal(size=(k, n)).astype(np.float32), width)
    w = d.input(*weights.shape)
    d.given[w.op.name] = weights
    return packed_matmul(x, w, n)


def convolved(rank, groups=1):
    def make(d):
        places, channels = d.extents
        strides, size = d.some(2), d.some(3)
        inside = d.some(4 if groups == 1 else 2) * groups
        shape = (1, *[d.some(4) + size for _ in range(rank - 1)], places + size - 1, inside)
        padding = (d.some(2) - 1, d.some(3) - 1)
        inputs, y, given, _ = convolution(
            shape, channels * groups, size, groups, d.kind, strides=strides, padding=padding
        )
        d.inputs += inputs
        d.given |= given
        return y

    return make


def by_winograd(d):
    places, channels = d.extents
    paired = d.some(2) == 2
    inside = 14 + 2 * d.some(5) if paired else 15 + d.some(9)
    shape = (d.some(2), d.some(5) + 2, places + 2, inside)
    padding = (d.some(2) - 1, d.some(2) - 1)
    inputs, y, given, _ = winograd(
        shape, channels, d.kind, padding, panel_width(d, channels), paired
    )
    d.inputs += inputs
    d.given |= given
    return y


def transposed(d):
    places, channels = d.extents
    inside, strides, taps, width = d.some(4), d.some(3), d.some(2), panel_width(d, channels)
    phases = Phases((taps,), (strides,), (d.some(3) - 1,), (places,))
    plain = np.random.default_rng(1).normal(size=(strides, taps, inside, channels))
    packed = np.ascontiguousarray(np.moveaxis(panels(plain.astype(np.float32), width), 0, 1))
    x, w = d.input(1, places + d.some(3) - 1, inside), d.input(*packed.shape)
    d.given[w.op.name] = packed
    return transposed_convolution(x, w, channels, phases)


def depthwise(rank):
    def make(d):
        places, channels = d.extents
        size, strides = d.some(3), d.some(2)
        outer = [d.some(20) + size - 1 for _ in range(rank - 1)]
        view = window(size, strides, padding=(d.some(2) - 1, d.some(2) - 1), rank=rank)
        shape = (d.some(2), *outer, places + size - 1, channels)
        x, w = d.input(*shape), d.input(*[size] * rank, channels)
        return depthwise_convolution(x, w, pixels(shape, view), view)

    return make


def pooled(kind):
    def make(d):
        places, channels = d.extents
        x = d.input(1, d.some(5) + 1, places + 1, channels)
        padding = [d.some(2) - 1 for _ in range(4)]
        return topi.nn.pool2d(x, [2, 2], [d.some(2)] * 2, [1, 1], padding, kind, layout="NHWC")

    return make


def sum_of_tokens(d):
    tokens, channels = d.extents
    return topi.sum(d.input(d.some(3), tokens, channels), 1, keepdims=True)


def rows_of(make):
    """Rows in one axis or in two."""

    def made(d):
        rows, length = d.extents
        outer = d.rng.choice([(rows,), (1, rows), (d.some(5), d.some(14))])
        return make(d, d.input(*outer, length))

    return made


def variance(d, x):
    length = float(int(x.shape[-1]))
    mean = topi.sum(x, -1, keepdims=True) / length
    apart = topi.subtract(x, mean)
    return topi.sum(topi.multiply(apart, apart), -1, keepdims=True) / length


def deviation(d, x):
    return topi.sqrt(variance(d, x) + 1e-5)


def normalized(d, x):
    return topi.divide(x, deviation(d, x))


def logsumexp(d, x):
    top = topi.max(x, -1, keepdims=True)
    total = topi.sum(topi.exp(topi.subtract(x, top)), -1, keepdims=True)
    return topi.add(topi.log(total), top)


def layer_norm(d, x):
    n = x.shape[-1]
    return topi.nn.layer_norm(x, d.input(n), d.input(n), axis=[len(x.shape) - 1])


def gelu(x):
    return compute.elementwise(x, "gelu", "quake2")


def chain(d):
    m, n = d.extents
    return gelu(topi.add(d.input(m, n), d.input(n)))


def channels_first(d):
    places, channels = d.extents
    x, w = d.input(1, 2, d.some(3) + 2, places + 2), d.input(channels, 2, 3, 3)
    return topi.nn.conv2d(x, w, 1, 0, 1, "NCHW")


KERNELS: dict[str, Callable[[Draw], te.Tensor]] = {
    "matmul": plain_matmul,
    "matmul_of_panels": matmul_of_panels,
    "matmul_batched": batched_matmul,
    "matmul_of_transposed": matmul_of_transposed,
    "matmul_of_gelu": matmul_of_gelu,
    "convolution_1d": convolved(1),
    "convolution_2d": convolved(2),
    "convolution_of_groups": convolved(1, 2),
    "convolution_channels_first": channels_first,
    "convolution_transposed": transposed,
    "convolution_by_winograd": by_winograd,
    "depthwise_1d": depthwise(1),
    "depthwise_2d": depthwise(2),
    "pool_max": pooled("max"),
    "pool_avg": pooled("avg"),
    "sum_of_tokens": sum_of_tokens,
    "sum": rows_of(lambda d, x: topi.sum(x, -1, keepdims=d.rng.random() < 0.5)),
    "variance": rows_of(variance),
    "deviation": rows_of(deviation),
    "normalized": rows_of(normalized),
    "layer_norm": rows_of(layer_norm),
    "logsumexp": rows_of(logsumexp),
    "exact_softmax": rows_of(lambda d, x: topi.nn.softmax(x)),
    "softmax": rows_of(lambda d, x: compute.softmax(x, method="quake2")),
    "elementwise": chain,
}
