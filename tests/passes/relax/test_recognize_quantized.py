"""Products and convolutions of quantized tensors become integer ones."""

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.passes.relax.recognize_quantized import RecognizeQuantized
from tests.helpers import c, module, once

RNG = np.random.default_rng(0)
op, nn = relax.op, relax.op.nn
W = RNG.integers(-128, 128, (6, 5)).astype(np.int8)
KERNEL = RNG.integers(0, 256, (6, 3, 2, 2)).astype(np.uint8)
STEPS = {n: (RNG.random(n) + 0.5).astype(np.float32) for n in (5, 6)}
POINTS = RNG.integers(100, 140, 6).astype(np.uint8)


def real(x, scale=0.5, zero=7, kind="uint8", axis=-1):
    zero = relax.const(zero, kind) if np.isscalar(zero) else relax.const(zero)
    scale = c(scale) if np.isscalar(scale) else relax.const(scale)
    return once(op.dequantize(x, scale, zero, axis=axis))


def wide(x):
    return once(op.astype(x, "int32"))


def check(before, after, shape):
    found = RecognizeQuantized()(module(before, shape, dtype="uint8"))
    tvm.ir.assert_structural_equal(found, module(after, shape, dtype="uint8"))


def test_product():
    def before(x):
        return op.matmul(real(x), real(relax.const(W), STEPS[5], 0, "int8"))

    def after(x):
        a = once(op.subtract(wide(x), c(7, "int32")))
        sums = once(op.matmul(a, wide(relax.const(W)), out_dtype="int32"))
        return op.multiply(wide_float(sums), relax.const(np.float32(0.5) * STEPS[5]))

    check(before, after, (2, 4, 6))


def wide_float(x):
    return once(op.astype(x, "float32"))


def test_transposed_weights():
    def before(x):
        turned = once(op.permute_dims(real(relax.const(W), STEPS[6], 0, "int8", axis=0)))
        return op.matmul(real(x, zero=0), turned)

    def after(x):
        weights = relax.const(np.ascontiguousarray(W.T))
        a = wide(x)
        sums = once(op.matmul(a, wide(weights), out_dtype="int32"))
        return op.multiply(wide_float(sums), relax.const(np.float32(0.5) * STEPS[6]))

    check(before, after, (4, 5))


def test_scalar_product():
    def before(x):
        return op.matmul(
            real(x), real(relax.const(W[:, 0]), np.float32([0.1]), np.int8([0]), "int8")
        )

    def after(x):
        a = once(op.subtract(wide(x), c(7, "int32")))
        sums = once(op.matmul(a, wide(relax.const(W[:, 0])), out_dtype="int32"))
        return op.multiply(wide_float(sums), c(np.float32(0.5) * np.float32(0.1)))

    check(before, after, (6,))


def test_convolution():
    options = {"strides": (2, 1), "padding": (1, 0, 1, 2)}

    def before(x):
        weights = real(relax.const(KERNEL), STEPS[6], POINTS, axis=0)
        return nn.conv2d(real(x), weights, **options)

    def after(x):
        a = once(op.subtract(wide(x), c(7, "int32")))
        points = relax.const(POINTS.astype(np.int32).reshape(6, 1, 1, 1))
        w = once(op.subtract(wide(relax.const(KERNEL)), points))
        sums = once(nn.conv2d(a, w, out_dtype="int32", out_layout="NCHW", **options))
        scale = (np.float32(0.5) * STEPS[6]).reshape(1, 6, 1, 1)
        return op.multiply(wide_float(sums), relax.const(scale))

    check(before, after, (1, 3, 5, 6))


@pytest.mark.parametrize(
    "product",
    [
        lambda x: op.matmul(op.astype(x, "float32"), real(relax.const(W), 0.1, 0, "int8")),
        lambda x: op.matmul(real(x, STEPS[6], 7), real(relax.const(W), 0.1, 0, "int8")),
        lambda x: op.matmul(real(x), real(relax.const(W), STEPS[6], 0, "int8", axis=0)),
        lambda x: op.matmul(real(x), real(x)),
        lambda x: op.matmul(real(x), real(relax.const(np.ones((6, 2), np.int16)), 0.1, 0, "int16")),
        lambda x: op.matmul(real(x, 1e20), real(relax.const(W), 1e10, 0, "int8")),
        lambda x: op.matmul(real(x, 1e-20), real(relax.const(W), 1e-20, 0, "int8")),
        lambda x: op.matmul(real(x), real(relax.const(W[:, 0]), STEPS[6], 0, "int8", axis=0)),
        lambda x: op.matmul(real(x), real(relax.const(W[:, :0]), 0.1, 0, "int8")),
    ],
)
def test_others_stay(product):
    """Real operands, scales along the summed axis, weights that vary, 16 bits, extreme scales.

    Scales along a vector, and weights without elements.
    """
    mod = module(product, (6, 6), dtype="uint8")
    tvm.ir.assert_structural_equal(RecognizeQuantized()(mod), mod)


def test_sums_beyond_int32_stay():
    weights = relax.const(np.ones((40000, 1), np.int8))
    mod = module(
        lambda x: op.matmul(real(x), real(weights, 1.0, 0, "int8")), (1, 40000), dtype="uint8"
    )
    tvm.ir.assert_structural_equal(RecognizeQuantized()(mod), mod)
