"""Quantization to bytes: to the nearest, to even of two, within the type; other types as TVM's."""

import numpy as np
import pytest
from tvm import relax

import quake_tvm
from tests.helpers import c, module, once

RNG = np.random.default_rng(0)
op = relax.op
X = np.concatenate(
    [
        np.arange(-300, 300, dtype=np.float32) / 2,
        RNG.normal(size=400).astype(np.float32) * 99,
        np.float32([np.inf, -np.inf, 3e38, -3e38, 1e9, -1e9, 4194303.5, 1e-40, -0.0, 0.0]),
        np.nextafter(np.arange(-128, 128, dtype=np.float32) + np.float32(0.5), np.float32(0)),
    ]
)
X = X[: len(X) // 4 * 4].reshape(-1, 4)
FOUR = np.float32([0.25, 1, 3, 0.7])


def wanted(x, scale, zero, kind):
    limits = np.iinfo(kind)
    with np.errstate(over="ignore"):
        values = np.rint((x / scale).astype(np.float32)).astype(np.float64) + zero
    return np.clip(values, limits.min, limits.max).astype(kind)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16"])
def test_values(kind):
    zeros = np.array([0, 1, 7, 127], kind)
    cases = [(np.float32(1), zeros[0]), (np.float32(1), zeros[1]), (np.float32(0.3), zeros[2])]

    def formula(x):
        scalars = [op.quantize(x, c(float(s)), relax.const(z), out_dtype=kind) for s, z in cases]
        each = op.quantize(x, relax.const(FOUR), relax.const(zeros), out_dtype=kind)
        lowest = once(op.astype(once(op.min(x)), kind))
        varying = op.quantize(x, once(op.add(once(op.max(x)), c(1.0))), lowest, out_dtype=kind)
        return *scalars, each, varying

    finite = np.where(np.isfinite(X), X, 0).clip(-99, 9)
    model = quake_tvm.compile(module(formula, X.shape))
    *results, each, _ = model.run(X)
    for found, (s, z) in zip(results, cases, strict=True):
        np.testing.assert_array_equal(found, wanted(X, s, z, kind))
    np.testing.assert_array_equal(each, wanted(X, FOUR, zeros, kind))
    low = finite.clip(0) if kind.startswith("u") else finite
    varying = model.run(low)[-1]
    zero = low.min().astype(kind)
    np.testing.assert_array_equal(varying, wanted(low, low.max() + np.float32(1), zero, kind))


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16"])
def test_nan_is_the_least_number(kind):
    """As in ONNX Runtime, also beside a convolution, where quantizations are spelled out."""
    weights = relax.const(np.ones((4, 4, 1, 1), np.float32))

    def formula(x):
        quantized = op.quantize(x, c(1.0), relax.const(np.array(3, kind)), out_dtype=kind)
        return quantized, op.nn.conv2d(op.astype(once(quantized), "float32"), weights)

    x = np.uint32([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF]).view(np.float32)
    x = x.reshape(1, 4, 1, 1)
    least = np.full(x.shape, np.iinfo(kind).min, kind)
    for outputs in (1, 2):
        mod = module(lambda x, n=outputs: formula(x)[:n], x.shape)
        found, *sums = quake_tvm.compile(mod).run(x)
        np.testing.assert_array_equal(found, least)
        for each in sums:
            np.testing.assert_array_equal(each, 4 * least.astype(np.float32))
