"""The scale of a quantization becomes a part of the scale of the sums in front of it."""

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.passes.relax.fold_requantization import FoldRequantization
from tests.helpers import c, module, once

RNG = np.random.default_rng(0)
op = relax.op
STEP = np.float32(0.37)
SCALES, BIAS = RNG.random((2, 5)).astype(np.float32)


def sums(x):
    return once(op.astype(x, "float32"))


def quantized(x, scale=float(STEP)):
    return op.quantize(once(x), c(scale), c(3, "uint8"), out_dtype="uint8")


def check(before, after):
    found = FoldRequantization()(module(before, (2, 5), dtype="int32"))
    tvm.ir.assert_structural_equal(found, module(after, (2, 5), dtype="int32"))


def test_scale():
    check(
        lambda x: quantized(op.multiply(sums(x), relax.const(SCALES))),
        lambda x: quantized(op.multiply(sums(x), relax.const(SCALES / STEP)), 1.0),
    )


@pytest.mark.parametrize("bias_first", [False, True])
def test_bias(bias_first):
    def added(x, bias):
        bias = relax.const(bias)
        return op.add(bias, x) if bias_first else op.add(x, bias)

    def before(x):
        return quantized(added(once(op.multiply(sums(x), relax.const(SCALES))), BIAS))

    def after(x):
        scaled = once(op.multiply(sums(x), relax.const(SCALES / STEP)))
        return quantized(op.add(scaled, relax.const(BIAS / STEP)), 1.0)

    check(before, after)


def test_factor():
    """torch multiplies by the reciprocal of a scale."""

    def before(x):
        scaled = once(op.multiply(sums(x), relax.const(SCALES)))
        return quantized(op.multiply(scaled, c(4.0)), 1.0)

    check(before, lambda x: quantized(op.multiply(sums(x), relax.const(SCALES * 4)), 1.0))


def test_relu():
    """A zero point that is not the least byte is the least byte of the result."""

    def before(x):
        return quantized(op.nn.relu(once(op.multiply(sums(x), relax.const(SCALES)))))

    def after(x):
        found = quantized(op.multiply(sums(x), relax.const(SCALES / STEP)), 1.0)
        return op.maximum(once(found), c(3, "uint8"))

    check(before, after)


def test_relu_above_the_least_byte():
    def formula(step, ramp):
        def made(x):
            scaled = once(op.multiply(sums(x), relax.const(SCALES / step)))
            scaled = once(op.nn.relu(scaled)) if ramp else scaled
            return op.quantize(scaled, c(STEP / step), c(0, "uint8"), out_dtype="uint8")

        return made

    check(formula(np.float32(1), True), formula(STEP, False))


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: quantized(op.multiply(sums(x), relax.const(SCALES)), 1.0),
        lambda x: quantized(op.multiply(op.multiply(sums(x), relax.const(SCALES)), c(-2.0)), 1.0),
        lambda x: quantized(
            op.nn.relu(once(op.multiply(sums(x), relax.const(SCALES)))), -float(STEP)
        ),
        lambda x: quantized(sums(x)),
        lambda x: quantized(op.multiply(once(op.exp(sums(x))), relax.const(SCALES))),
        lambda x: quantized(op.multiply(sums(x), sums(x))),
        lambda x: quantized(op.multiply(sums(x), relax.const(SCALES)), 1e-31),
        lambda x: quantized(
            op.add(once(op.multiply(sums(x), c(1e-9))), relax.const(1e5 * BIAS)), 1e-35
        ),
    ],
)
def test_others_stay(formula):
    check(formula, formula)
