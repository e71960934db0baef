"""Half precision computes in float32, and the module's inputs and outputs keep their types."""

import math

import ml_dtypes
import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

import quake_tvm
from quake_tvm.kernels.lookup_operator import lookup_ffn
from quake_tvm.passes.relax.widen_halves import WidenHalves
from tests.helpers import module

HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def assert_becomes(before, expected):
    tvm.ir.assert_structural_equal(WidenHalves()(before), expected)


def test_casts_stand_at_the_inputs_and_outputs():
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor(("n", 4), "float16"), y: R.Tensor(("n", 4), "float32")):
            n = T.int64()
            with R.dataflow():
                a: R.Tensor((n, 4), "float16") = R.exp(x)
                b: R.Tensor((n, 4), "float32") = R.astype(a, "float32")
                c: R.Tensor((n, 4), "float32") = R.add(b, y)
                d: R.Tensor((n, 4), "float16") = R.astype(c, "float16")
                e = R.cumsum(d, axis=1, dtype="float16")
                R.output(c, e)
            return (c, e)

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor(("n", 4), "float16"), y: R.Tensor(("n", 4), "float32")):
            with R.dataflow():
                wide = R.astype(x, "float32")
                a = R.exp(wide)
                c = R.add(a, y)
                e = R.cumsum(c, axis=1, dtype="float32")
                narrow = R.astype(e, "float16")
                R.output(c, narrow)
            return (c, narrow)

    assert_becomes(Before, Expected)


def test_tuples_and_constants():
    half = np.array([[0.1, -2.0]], "float16")

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((3, 2), "float16")):
            with R.dataflow():
                a = R.multiply(x, R.const(half))
                parts = R.split(a, 2, axis=1)
                b = parts[0]
                R.output(a, b)
            return (b, (a, R.const(half)))

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor((3, 2), "float16")):
            with R.dataflow():
                wide = R.astype(x, "float32")
                a = R.multiply(wide, R.const(half.astype("float32")))
                parts = R.split(a, 2, axis=1)
                b = parts[0]
                c = R.astype(b, "float16")
                d = R.astype(a, "float16")
                R.output(c, d)
            return (c, (d, R.const(half)))

    assert_becomes(Before, Expected)


def test_kernels_keep_their_types():
    @I.ir_module
    class Before:
        @T.prim_func(private=True, s_tir=True)
        def double(x: T.Buffer((4,), "float16"), y: T.Buffer((4,), "float16")):
            for i in range(4):
                with T.sblock("double"):
                    k = T.axis.spatial(4, i)
                    y[k] = x[k] + x[k]

        @R.function
        def main(x: R.Tensor((4,), "float16")):
            cls = Before
            with R.dataflow():
                a = R.exp(x)
                b = R.call_tir(cls.double, (a,), out_ty=R.Tensor((4,), "float16"))
                c = R.exp(b)
                R.output(c)
            return c

    @I.ir_module
    class Expected:
        @T.prim_func(private=True, s_tir=True)
        def double(x: T.Buffer((4,), "float16"), y: T.Buffer((4,), "float16")):
            for i in range(4):
                with T.sblock("double"):
                    k = T.axis.spatial(4, i)
                    y[k] = x[k] + x[k]

        @R.function
        def main(x: R.Tensor((4,), "float16")):
            cls = Expected
            with R.dataflow():
                wide = R.astype(x, "float32")
                a = R.exp(wide)
                narrow = R.astype(a, "float16")
                b = R.call_tir(cls.double, (narrow,), out_ty=R.Tensor((4,), "float16"))
                again = R.astype(b, "float32")
                c = R.exp(again)
                d = R.astype(c, "float16")
                R.output(d)
            return d

    assert_becomes(Before, Expected)


def test_a_kernel_that_computes_bfloat16():
    @I.ir_module
    class Module:
        @T.prim_func(private=True, s_tir=True)
        def double(x: T.Buffer((4,), "bfloat16"), y: T.Buffer((4,), "bfloat16")):
            for i in range(4):
                with T.sblock("double"):
                    k = T.axis.spatial(4, i)
                    y[k] = x[k] + x[k]

        @R.function
        def main(x: R.Tensor((4,), "bfloat16")):
            cls = Module
            with R.dataflow():
                a = R.negative(x)
                b = R.call_tir(cls.double, (a,), out_ty=R.Tensor((4,), "bfloat16"))
                c = R.abs(b)
                R.output(c)
            return c

    x = np.array([1, -2, 0.5, np.inf], ml_dtypes.bfloat16)
    (found,) = quake_tvm.compile(Module).run(x)
    np.testing.assert_array_equal(found, np.abs(x + x))


def test_branches():
    @I.ir_module
    class Before:
        @R.function
        def main(c: R.Tensor((), "bool"), x: R.Tensor((2,), "float16")):
            if c:  # noqa: SIM108  (a branch of Relax)
                y = R.exp(x)
            else:
                y = R.sin(x)
            return y

    x = np.array([1, 2], "float16")
    model = quake_tvm.compile(Before, method="exact")
    for c, f in ((True, np.exp), (False, np.sin)):
        (found,) = model.run([np.array(c), x])
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, f(x.astype("float64")).astype("float16"))


def test_weights_stay_in_the_formats_that_are_kept():
    w, table = np.ones((4, 3), "float16"), np.ones((9, 4), "float16")

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor(("n", 4), "float16"), i: R.Tensor((5,), "int64")):
            n = T.int64()
            with R.dataflow():
                a: R.Tensor((n, 3), "float16") = R.matmul(x, R.const(w))
                b: R.Tensor((9, n), "float16") = R.matmul(R.const(table), R.permute_dims(x))
                c = R.take(R.const(table), i, axis=0)
                R.output(a, b, c)
            return (a, b, c)

    @I.ir_module
    class Expected:
        @R.function
        def main(x: R.Tensor(("n", 4), "float16"), i: R.Tensor((5,), "int64")):
            with R.dataflow():
                wide = R.astype(x, "float32")
                a = R.matmul(wide, R.const(w), out_dtype="float32")
                t = R.permute_dims(wide)
                b = R.matmul(R.const(table.astype("float32")), t)
                rows = R.take(R.const(table), i, axis=0)
                c = R.astype(rows, "float32")
                x1 = R.astype(a, "float16")
                x2 = R.astype(b, "float16")
                x3 = R.astype(c, "float16")
                R.output(x1, x2, x3)
            return (x1, x2, x3)

    tvm.ir.assert_structural_equal(WidenHalves({"float16"})(Before), Expected)


@pytest.mark.parametrize("dtype", HALVES)
def test_tables_of_look_ups_stay(dtype):
    builder = relax.BlockBuilder()
    z = relax.Var("z", relax.TensorType((2, 6), "float32"))
    tables, bias = np.ones((8, 4), HALVES[dtype]), np.ones(4, np.float32)
    with builder.function("main", [z]):
        with builder.dataflow():
            y = lookup_ffn(z, relax.const(tables), relax.const(bias), bits=2)
            y = builder.emit_output(y)
        builder.emit_func_output(y)
    mod = builder.get()
    tvm.ir.assert_structural_equal(WidenHalves()(mod), mod)


def test_a_module_without_halves_is_unchanged():
    mod = module(R.exp)
    assert WidenHalves()(mod).same_as(mod)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_sum_that_half_precision_cannot_hold(dtype):
    x = np.full((1, 4096), 64, HALVES[dtype])
    mod = module(lambda x: R.multiply(R.sum(x, 1), R.const(1 / 1024, dtype)), x.shape, dtype=dtype)
    (found,) = quake_tvm.compile(mod).run(x)
    assert found.dtype == x.dtype
    assert float(found[0]) == 256


@pytest.mark.parametrize("dtype", HALVES)
def test_sites_are_lowered(dtype):
    mod = module(lambda x: R.nn.softmax(R.nn.gelu(x)), (3, 40), dtype=dtype)
    model = quake_tvm.compile(mod, method="quake3")
    assert sorted(s.operator for s in model.report.sites) == ["gelu", "softmax"]
    x = np.random.default_rng(0).normal(0, 3, (3, 40)).astype(HALVES[dtype])
    gelu = x.astype("float64") / 2 * (1 + np.vectorize(math.erf)(x / 2**0.5))
    exact = np.exp(gelu) / np.exp(gelu).sum(1, keepdims=True)
    (found,) = model.run(x)
    rounding = float(ml_dtypes.finfo(HALVES[dtype]).eps)
    assert np.abs(found.astype("float64") / exact - 1).max() < rounding + 0.002
