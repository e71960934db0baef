"""Chains between ``qnn.dequantize`` and ``qnn.quantize`` become tables, which give TVM's bytes."""

import numpy as np
import pytest
import tvm
from tvm import relay
from tvm.relay.qnn.op import dequantize, quantize, requantize

import quake_tvm
from quake_tvm.lut.integers import approximate
from quake_tvm.passes.quake import QuAKE
from quake_tvm.passes.relay.recognize_tables import replace_chains
from quake_tvm.passes.relay.table_ops import look_up, piecewise

from .modules import build, c, gelu, module, run, run_vm, silu

F = np.float32
FUNCTIONS = {
    "sigmoid": relay.sigmoid,
    "tanh": relay.tanh,
    "silu": silu,
    "gelu": gelu,
    "exp": relay.exp,
    "hswish": lambda x: x * relay.clip(x + c(3), 0.0, 6.0) / c(6),
    "leaky_relu": lambda x: relay.nn.leaky_relu(x, 0.2),
}


def between(build, x, step, zero, dtype, to, out=None):
    """A function between two quantizations, by default of the same scale."""
    real = dequantize(x, c(step), c(zero, "int32"))
    return quantize(build(real), c(out or step), c(zero, "int32"), out_dtype=to)


def inputs(dtype):
    limits = np.iinfo(dtype)
    return np.arange(limits.min, limits.max + 1).astype(dtype)


def near(function, dtype, step, zero, to):
    """The outputs of such a chain at all inputs, with halves rounded away from zero."""
    out = np.iinfo(to)
    x = F(inputs(dtype).astype(int) - zero) * F(step)
    y = F(function(x.astype(np.float64))) / F(step)
    return (np.copysign(np.floor(abs(y) + 0.5), y) + zero).clip(out.min, out.max).astype(to)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def same(before, after, dtype, entries):
    found = replace_chains(module(before, (2, 5), dtype=dtype), entries)
    (x,) = module(lambda x: x, (2, 5), dtype=dtype)["main"].params  # with its type
    expected = tvm.IRModule.from_expr(relay.Function([x], after(x)))
    tvm.ir.assert_structural_equal(found, relay.transform.InferType()(expected))


@pytest.mark.parametrize(("dtype", "zero"), [("int8", 3), ("uint8", 120)])
def test_one_table(dtype, zero):
    table = near(sigmoid, dtype, 0.05, zero, dtype)
    source = "qnn.dequantize+sigmoid+qnn.quantize"
    same(
        lambda x: between(relay.sigmoid, x, 0.05, zero, dtype, dtype),
        lambda x: look_up(x, table, source),
        dtype,
        None,
    )
    made = approximate(table, dtype, 8)
    same(
        lambda x: between(relay.sigmoid, x, 0.05, zero, dtype, dtype),
        lambda x: piecewise(x, made, 8, source),
        dtype,
        8,
    )


def test_real_results_stay():
    mod = module(lambda x: relay.sigmoid(dequantize(x, c(0.1), c(3, "int32"))), dtype="uint8")
    tvm.ir.assert_structural_equal(replace_chains(mod, None), mod)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bytes_in_a_build(name):
    """The bytes of TVM's own build, but where its float32 functions are near a step's end."""
    mod = module(
        lambda x: between(FUNCTIONS[name], x, 0.05, 3, "int8", "int8", 0.04), (1, 256), dtype="int8"
    )
    x = inputs("int8").reshape(1, -1)
    with quake_tvm.PassContext(opt_level=3, method="quake2") as context:
        lib = relay.build(mod, quake_tvm.target("native"))
    plain = run(build(mod), x)
    apart = np.abs(run(lib, x).astype(int) - plain)
    assert apart.max() <= 1
    assert apart.sum() <= 2
    (site,) = context.report.sites
    assert (site.operator, site.method, site.absolute) == ("table", "exact", 0)
    assert site.kernel.startswith("fused")
    assert not context.report.exact


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_piecewise_in_a_build(dtype):
    step, zero = (0.05, 120) if dtype == "uint8" else (2e-4, 0)
    x = inputs(dtype).reshape(2, -1)
    mod = module(
        lambda x: between(relay.sigmoid, x, step, zero, dtype, dtype), x.shape, dtype=dtype
    )
    with quake_tvm.PassContext(opt_level=3, method="lut8") as context:
        lib = relay.build(mod, quake_tvm.target("native"))
    made = approximate(near(sigmoid, dtype, step, zero, dtype), dtype, 8)
    np.testing.assert_array_equal(run(lib, x).ravel(), made.outputs())
    (site,) = context.report.sites
    assert (site.operator, site.method, site.absolute) == ("table", "lut8", made.error.max)
    assert site.witness == made.error.witness


def test_exact_changes_nothing():
    mod = module(lambda x: between(relay.sigmoid, x, 0.1, 3, "uint8", "uint8"), dtype="uint8")
    tvm.ir.assert_structural_equal(QuAKE(method="exact")(mod), mod)


def test_any_size():
    def before(x):
        return between(relay.sigmoid, x, 0.05, 3, "int8", "int8")

    mod = module(before, (relay.Any(), 3), dtype="int8")
    x = inputs("int8")[:255].reshape(-1, 3)
    table = near(sigmoid, "int8", 0.05, 3, "int8")
    with quake_tvm.PassContext(opt_level=3, method="quake2"):
        executable = relay.vm.compile(mod, quake_tvm.target("native"))
    np.testing.assert_array_equal(run_vm(executable, x).ravel(), table[:255])


def test_behind_a_product():
    """A product of bytes keeps TVM's dot products (VNNI), and its sigmoid becomes a table."""
    zero, other = c(3, "int32"), c(0, "int32")
    weights = np.random.default_rng(0).integers(-128, 128, (96, 128)).astype(np.int8)

    def dense(x):
        sums = relay.qnn.op.dense(x, relay.const(weights), zero, other, c(0.05), c(0.02), units=96)
        y = requantize(sums, c(0.001), other, c(0.1), c(128, "int32"), out_dtype="uint8")
        return between(relay.sigmoid, y, 0.1, 128, "uint8", "uint8", 0.01)

    mod = module(dense, (64, 128), dtype="uint8")
    on = quake_tvm.target({"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "cascadelake"})
    with quake_tvm.PassContext(opt_level=3, method="quake2") as context:
        lib = relay.build(mod, on)
    assert "vpdpbusd" in lib.lib.get_source("asm")
    assert [site.operator for site in context.report.sites] == ["table"]
    x = np.random.default_rng(1).integers(0, 256, (64, 128)).astype(np.uint8)
    with quake_tvm.PassContext(opt_level=3, method="quake2"):
        here = relay.build(mod, quake_tvm.target("native"))
    apart = np.abs(run(here, x).astype(int) - run(build(mod), x))
    assert apart.max() <= 1
    assert np.mean(apart > 0) < 0.01
