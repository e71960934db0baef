"""Quantizations and clips of constant parameters become element-wise operators of equal values."""

import numpy as np
import pytest
import tvm
from tvm import relax

from quake_tvm.passes.relax import number_within as ranges
from quake_tvm.passes.relax.legalize import legalize
from quake_tvm.passes.relax.spell_out_quantization import RULES
from tests.helpers import module, once, run

op = relax.op
SHAPE = (2, 3, 4)
SCALES = np.array([0.5, 0.25, 3], np.float32)
ZEROS = np.array([3, 0, 255], np.uint8)


def const(values):
    return relax.const(values, str(values.dtype))


def spelled_out(mod):
    return legalize(mod, RULES, keep_emitted=True)


def quantize(x, scale, zero):
    return op.quantize(x, const(scale), const(zero), axis=1, out_dtype=str(zero.dtype))


def dequantize(x, scale, zero):
    return op.dequantize(x, const(scale), const(zero), axis=1)


def clamped(x, low, high):
    below = once(op.minimum(x, relax.const(high, "float32")))
    return op.maximum(below, relax.const(low, "float32"))


def test_a_quantization():
    def expected(x):
        scaled = once(op.round(once(op.divide(x, const(SCALES.reshape(1, 3, 1))))))
        moved = once(op.add(scaled, const(ZEROS.reshape(1, 3, 1).astype("float32"))))
        return op.astype(once(ranges.number_within(moved, 0.0, 255.0)), "uint8")

    after = spelled_out(module(lambda x: quantize(x, SCALES, ZEROS), SHAPE))
    tvm.ir.assert_structural_equal(after, module(expected, SHAPE))


def test_a_scale_of_one_and_a_zero_of_zero_cost_nothing():
    def expected(x):
        return op.astype(once(ranges.number_within(once(op.round(x)), -128.0, 127.0)), "int8")

    after = spelled_out(module(lambda x: quantize(x, np.ones((), "f"), np.int8(0)[()]), SHAPE))
    tvm.ir.assert_structural_equal(after, module(expected, SHAPE))


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("each", [True, False], ids=["by_channel", "whole"])
def test_values(dtype, each):
    zeros, scales = ZEROS.view(dtype), SCALES
    if not each:
        zeros, scales = zeros[0].reshape(()), scales[1].reshape(())
    x = np.random.default_rng(0).normal(0, 60, SHAPE).astype(np.float32)
    x[0, 0] = [0.25, 0.75, 1e9, -1e9]  # halves go to even
    for formula, array in ((quantize, x), (dequantize, x.astype("int8").view(dtype))):
        before = module(
            lambda x, formula=formula: formula(x, scales, zeros), SHAPE, dtype=str(array.dtype)
        )
        after = ranges.spelled_out(spelled_out(before))
        assert "quantize" not in after.script()
        np.testing.assert_array_equal(run(after, array), run(before, array))


def test_a_clip():
    after = spelled_out(module(lambda x: op.clip(x, -1, 6), SHAPE))
    tvm.ir.assert_structural_equal(after, module(lambda x: clamped(x, -1, 6), SHAPE))


def test_computed_parameters_stay():
    mod = module(
        lambda x, s: op.quantize(x, s, relax.const(0, "int8"), axis=1, out_dtype="int8"),
        SHAPE,
        (3,),
    )
    tvm.ir.assert_structural_equal(spelled_out(mod), mod)
