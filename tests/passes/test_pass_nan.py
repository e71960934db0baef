"""Maxima and minima of floats in kernels: a constant comes first, else one operand is checked."""

import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import tirx as T

from quake_tvm.passes.pass_nan import PassNaN
from quake_tvm.passes.quake import QuAKE
from quake_tvm.tvm_version import tir
from tests.helpers import c, module

op, nn = relax.op, relax.op.nn


def stored(formula, *shapes, dtype="float32"):
    """The expression that a formula's only kernel stores."""
    legal = relax.transform.LegalizeOps()(module(formula, *shapes, dtype=dtype))
    (text,) = (
        line.split(" = ", 1)[1].strip()
        for _, function in PassNaN()(legal).functions_items()
        if isinstance(function, tir.PrimFunc)
        for line in function.script().splitlines()
        if "v_" in line.split(" = ")[0] and "] = " in line
    )
    return text.replace("v_i0, v_i1", "i").replace("v_ax0, v_ax1", "i")


def test_constant_comes_first():
    assert stored(nn.relu) == "T.max(T.float32(0.0), x0[i])"
    assert stored(lambda x: op.maximum(x, c(2.0))) == "T.max(T.float32(2.0), x0[i])"
    clip = stored(lambda x: op.clip(x, -1, 1))
    assert clip == "T.max(T.float32(-1.0), T.min(T.float32(1.0), x0[i]))"


def test_of_two_tensors_one_is_checked():
    text = stored(op.maximum, (2, 3), (2, 3))
    assert "T.max(other, x0[i]), other), where={other: x1[i]}" in text
    assert "call_llvm_pure_intrin" in text


def test_integers_stay():
    shapes = (2, 3), (2, 3)
    assert stored(op.maximum, *shapes, dtype="int32") == "T.max(x0[i], x1[i])"


def test_nothing_to_do():
    mod = relax.transform.LegalizeOps()(module(op.abs))
    assert PassNaN()(mod).same_as(mod)


def test_kernels_with_nonlinearities_stay():
    mod = QuAKE("quake2")(module(op.tanh))
    assert PassNaN()(mod).same_as(mod)


def test_accumulations_stay():
    @I.ir_module
    class Before:
        @T.prim_func(private=True, s_tir=True)
        def largest(x: T.Buffer((8,), "float32"), y: T.Buffer((1,), "float32")):
            for i in range(8):
                with T.sblock("y"):
                    k = T.axis.reduce(8, i)
                    with T.init():
                        y[0] = T.float32(-1)
                    y[0] = T.max(y[0], x[k])

    tvm.ir.assert_structural_equal(PassNaN()(Before), Before)
