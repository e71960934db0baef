"""Biases with the scale of integer sums are added to the sums."""

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.passes.relax.integer_bias import IntegerBias
from tests.helpers import module, once

RNG = np.random.default_rng(0)
op, nn = relax.op, relax.op.nn
W = RNG.integers(-128, 128, (6, 5)).astype(np.int8)
KERNEL = RNG.integers(-128, 128, (6, 3, 2, 2)).astype(np.int8)
SCALES = {n: RNG.uniform(0.01, 0.02, n).astype(np.float32) for n in (5, 6)}
BIASES = {n: RNG.integers(-9999, 9999, n).astype(np.int32) for n in (5, 6)}


def sums(x, convolution):
    wide = once(op.astype(x, "int32"))
    weights = once(op.astype(relax.const(KERNEL if convolution else W), "int32"))
    if convolution:
        return once(nn.conv2d(wide, weights, out_dtype="int32"))
    return once(op.matmul(wide, weights, out_dtype="int32"))


def scaled(x, scale):
    return once(op.multiply(once(op.astype(x, "float32")), relax.const(scale)))


def bias(values, scale):
    zero = relax.const(np.zeros(len(values), np.int32))
    return once(op.dequantize(relax.const(values), relax.const(scale), zero, axis=0))


@pytest.mark.parametrize("convolution", [False, True], ids=["product", "convolution"])
def test_bias(convolution):
    n = 6 if convolution else 5
    shape = (1, n, 1, 1) if convolution else (n,)
    scale = SCALES[n].reshape(shape)

    def before(x):
        term = bias(BIASES[n], SCALES[n])
        term = once(op.reshape(term, shape)) if convolution else term
        return op.add(scaled(sums(x, convolution), scale), term)

    def after(x):
        whole = op.add(sums(x, convolution), relax.const(BIASES[n].reshape(shape)))
        return op.multiply(once(op.astype(once(whole), "float32")), relax.const(scale))

    size = (1, 3, 5, 6) if convolution else (4, 6)
    found = IntegerBias()(module(before, size, dtype="uint8"))
    tvm.ir.assert_structural_equal(found, module(after, size, dtype="uint8"))


def test_products_with_one_column_that_is_a_vector():
    column, values = W[:, 0], BIASES[5][:1]

    def total(x):
        wide = [once(op.astype(each, "int32")) for each in (x, relax.const(column))]
        return once(op.matmul(*wide, out_dtype="int32"))

    def before(x):
        return op.add(scaled(total(x), SCALES[5][:1]), bias(values, SCALES[5][:1]))

    def after(x):
        whole = once(op.add(total(x), relax.const(values)))
        return op.multiply(once(op.astype(whole, "float32")), relax.const(SCALES[5][:1]))

    found = IntegerBias()(module(before, (4, 6), dtype="uint8"))
    tvm.ir.assert_structural_equal(found, module(after, (4, 6), dtype="uint8"))


@pytest.mark.parametrize(
    "term",
    [
        lambda: bias(BIASES[5], SCALES[5] * np.float32(1.5)),
        lambda: bias(np.full(5, 2**31 - 1, np.int32), SCALES[5]),
        lambda: relax.const(SCALES[5]),
    ],
    ids=["another_scale", "too_large", "real"],
)
def test_others_stay(term):
    def formula(x):
        return op.add(scaled(sums(x, False), SCALES[5]), term())

    mod = module(formula, (4, 6), dtype="uint8")
    tvm.ir.assert_structural_equal(IntegerBias()(mod), mod)


def of_integers(x):
    return once(op.astype(once(op.astype(x, "float32")), "int32"))


def of_shifted(x):
    return once(op.subtract(once(op.astype(x, "int32")), relax.const(np.int32(9999))))


@pytest.mark.parametrize("operand", [of_integers, of_shifted])
def test_sums_of_others_than_bytes_stay(operand):
    """They may be so large that the bias makes them leave int32."""

    def formula(x):
        weights = once(op.astype(relax.const(W), "int32"))
        total = once(op.matmul(operand(x), weights, out_dtype="int32"))
        return op.add(scaled(total, SCALES[5]), bias(BIASES[5], SCALES[5]))

    mod = module(formula, (4, 6), dtype="uint8")
    tvm.ir.assert_structural_equal(IntegerBias()(mod), mod)
