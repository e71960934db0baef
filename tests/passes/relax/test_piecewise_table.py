"""Chains between quantizations become piecewise-linear tables where the method asks for them."""

import numpy as np
import pytest
import tvm
from tvm import relax

import quake_tvm
from quake_tvm.lut.integers import approximate
from quake_tvm.options import DEFAULT_METHOD
from quake_tvm.passes.relax.byte_table import look_up
from quake_tvm.passes.relax.piecewise_table import piecewise
from quake_tvm.passes.relax.recognize_tables import RecognizeTables
from tests.helpers import c, module, once

op, nn = relax.op, relax.op.nn
F = np.float32


def between(build, x, step, zero, to):
    """A function between a dequantization and a quantization of the same scale and zero point."""
    kind = x.ty.dtype.dtype
    real = once(op.dequantize(x, c(step), relax.const(zero, kind)))
    return once(op.quantize(once(build(real)), c(step), relax.const(zero, to), out_dtype=to))


def exact(function, dtype, step, zero, to):
    """The outputs of such a chain at all inputs."""
    limits, out = np.iinfo(dtype), np.iinfo(to)
    x = F(np.arange(limits.min, limits.max + 1) - zero) * F(step)
    y = np.rint(F(function(x.astype(np.float64))) / F(step)) + zero
    return y.clip(out.min, out.max).astype(to)


def silu(x):
    return x / (1 + np.exp(-x))


def check(before, after, dtype, entries):
    found = RecognizeTables(entries)(module(before, (2, 5), dtype=dtype))
    tvm.ir.assert_structural_equal(found, module(after, (2, 5), dtype=dtype))


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
@pytest.mark.parametrize("entries", [8, 16])
def test_between_quantizations(dtype, entries):
    step, zero = (0.05, 120) if dtype == "uint8" else (2e-4, 0)
    table = approximate(exact(silu, dtype, step, zero, dtype), dtype, entries)
    check(
        lambda x: between(nn.silu, x, step, zero, dtype),
        lambda x: once(piecewise(x, table, entries, "dequantize+nn.silu+quantize")),
        dtype,
        entries,
    )


def test_chains_without_a_quantization_stay_exact():
    def before(x):
        return once(
            op.astype(once(op.minimum(once(op.astype(x, "int32")), c(9, "int32"))), "uint8")
        )

    table = np.minimum(np.arange(256), 9).astype(np.uint8)
    check(before, lambda x: once(look_up(x, table, "astype+minimum+astype")), "uint8", 8)


@pytest.mark.parametrize("entries", [None, 8])
def test_integers_of_16_bits_stay(entries):
    """Without a method for them, and where nothing is quantized."""

    def before(x):
        if entries is None:
            return between(nn.silu, x, 2e-4, 0, "int16")
        return once(op.minimum(x, c(9, "int16")))

    mod = module(before, (2, 5), dtype="int16")
    tvm.ir.assert_structural_equal(RecognizeTables(entries)(mod), mod)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_compiled(dtype):
    """A model's bytes and its report: method, bound and witness."""
    step = 0.05 if dtype == "int8" else 2e-4
    limits = np.iinfo(dtype)
    x = np.arange(limits.min, limits.max + 1).astype(dtype).reshape(2, -1)
    mod = module(lambda x: between(nn.silu, x, step, 0, dtype), x.shape, dtype=dtype)
    right = exact(silu, dtype, step, 0, dtype).reshape(x.shape)
    for method, entries in (("lut8", 8), ("lut16", 16)):
        model = quake_tvm.compile(mod, method=method)
        (y,) = model.run(x)
        np.testing.assert_array_equal(
            y.ravel(), approximate(right.ravel(), dtype, entries).outputs()
        )
        (site,) = model.report.sites
        apart = np.abs(y.astype(int) - right)
        assert (site.operator, site.method, site.absolute) == ("table", method, apart.max())
        assert apart.ravel()[site.witness - limits.min] == apart.max()
        assert f"{site.absolute:g} steps at {site.witness}" in str(model.report)


def test_other_sites_have_the_default_rung():
    model = quake_tvm.compile(module(op.exp, (2, 5)), method="lut8")
    (site,) = model.report.sites
    assert (site.operator, site.method) == ("exp", DEFAULT_METHOD)
