"""Softmax between a dequantization and a quantization is one kernel of bytes."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.passes.dialect import call
from quake_tvm.passes.relax.rows_of_bytes import RowsOfBytes
from tests.helpers import c, module, once

op = relax.op
RNG = np.random.default_rng(0)
SHAPES = [(3, 5, 128), (4, 7), (2, 1), (3, 33), (1, 300), (5, 64)]
# The scale of x, and those of the result: with rows whose elements are near each other, and far.
SCALES = [(0.0537, 1 / 256, 0), (0.01, 1 / 4096, 3), (0.6, 1 / 255, 0), (3.0, 0.01, 7)]


def quantized(x, x_scale, y_scale, y_zero, kind):
    """The bytes of the softmax of dequantized bytes."""
    zero = relax.const(np.array(11, kind))
    real = once(op.dequantize(x, c(x_scale), zero, out_dtype="float32"))
    weights = once(op.nn.softmax(real))
    return op.quantize(weights, c(y_scale), relax.const(np.array(y_zero, kind)), out_dtype=kind)


def steps(x, x_scale, y_scale, y_zero):
    """The exact result in steps, not rounded."""
    z = x.astype(np.float64) * np.float32(x_scale)
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) / np.float32(y_scale) + y_zero


def assert_near(found, x, *scales):
    limits = np.iinfo(x.dtype)
    wanted = np.clip(steps(x, *scales), limits.min, limits.max)
    # Half a step, and the largest error of a probability on this rung.
    error = quake_tvm.bound("softmax", "quake4").probability / scales[1]
    assert np.abs(found - wanted).max() <= 0.5 + error + 1e-3


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_values(kind):
    limits = np.iinfo(kind)
    inputs = [RNG.integers(limits.min, limits.max + 1, shape).astype(kind) for shape in SHAPES]
    for x in inputs:
        x[0] = limits.min

    def formula(*inputs):
        return tuple(quantized(x, *scales, kind) for x in inputs for scales in SCALES)

    mod = module(formula, *SHAPES, dtype=kind)
    results = iter(quake_tvm.compile(mod, method="quake4").run(inputs))
    for x in inputs:
        for scales in SCALES:
            found = next(results)
            assert found.dtype == kind
            assert_near(found, x, *scales)


def becomes(formula, dtype="uint8"):
    found = RowsOfBytes()(module(formula, (5, 24), dtype=dtype))
    text = found.script()
    return "R.quantize" not in text and "R.dequantize" not in text


def softmax(x, **more):
    options = {"method": "quake2", "ieee": True, "source": "", "shape": "", "scale": 1.0, **more}
    return call("softmax", x, axis=1, **options)


def around(x, x_scale=0.1, y_scale=1 / 256, kind="uint8"):
    real = once(op.dequantize(x, c(x_scale), relax.const(np.uint8(0)), out_dtype="float32"))
    weights = once(softmax(real))
    return op.quantize(weights, c(y_scale), relax.const(np.array(0, kind)), out_dtype=kind)


def test_what_becomes_one_kernel():
    assert becomes(around)


def test_a_factor_is_the_reciprocal_of_a_scale():
    def formula(x):
        real = once(op.dequantize(x, c(0.1), relax.const(np.uint8(0)), out_dtype="float32"))
        scaled = once(op.multiply(once(softmax(real)), c(256.0)))
        return op.quantize(scaled, c(1.0), relax.const(np.uint8(0)), out_dtype="uint8")

    found, wanted = (RowsOfBytes()(module(f, (5, 24), dtype="uint8")) for f in (formula, around))
    tvm.ir.assert_structural_equal(found, wanted)
    assert not becomes(lambda x: around(x, kind="int8"))
    assert not becomes(lambda x: around(x, x_scale=-0.1))
    assert not becomes(lambda x: around(x, x_scale=1e-38))
    assert not becomes(lambda x: around(x, y_scale=1e-30))


def test_a_result_that_is_needed_in_float32_too_stays():
    def build(x):
        real = once(op.dequantize(x, c(0.1), relax.const(np.uint8(0)), out_dtype="float32"))
        weights = once(softmax(real))
        return op.quantize(weights, c(0.1), relax.const(np.uint8(0)), out_dtype="uint8"), weights

    before = module(build, (5, 24), dtype="uint8")
    tvm.ir.assert_structural_equal(RowsOfBytes()(before), before)
