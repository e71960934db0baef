"""Branches of If become private functions; functions without If are unchanged."""

import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from quake_tvm.passes.relax.outline_branches import OutlineBranches


@I.ir_module
class Before:
    @R.function
    def main(x: R.Tensor((2, 3), "float32"), w: R.Tensor((3,), "float32"), c: R.Tensor((), "bool")):
        a = R.exp(x)
        if c:
            b = R.add(a, w)
            y = R.tanh(b)
        else:
            y = R.negative(a)
        z = R.abs(y)
        return z


@I.ir_module
class Expected:
    @R.function(private=True)
    def then_branch(a: R.Tensor((2, 3), "float32"), w: R.Tensor((3,), "float32")):
        with R.dataflow():
            b = R.add(a, w)
            y = R.tanh(b)
            R.output(y)
        return y

    @R.function(private=True)
    def else_branch(a: R.Tensor((2, 3), "float32")):
        with R.dataflow():
            y = R.negative(a)
            R.output(y)
        return y

    @R.function
    def main(x: R.Tensor((2, 3), "float32"), w: R.Tensor((3,), "float32"), c: R.Tensor((), "bool")):
        with R.dataflow():
            a = R.exp(x)
            R.output(a)
        if c:
            with R.dataflow():
                t = Expected.then_branch(a, w)
                R.output(t)
            y = t
        else:
            with R.dataflow():
                e = Expected.else_branch(a)
                R.output(e)
            y = e
        with R.dataflow():
            z = R.abs(y)
            R.output(z)
        return z


def test_branches_become_functions():
    tvm.ir.assert_structural_equal(OutlineBranches()(Before), Expected)


def test_sizes_that_nothing_in_the_branch_has_are_arguments():
    @I.ir_module
    class Sized:
        @R.function
        def main(x: R.Tensor(("n",), "float32"), c: R.Tensor((), "bool")):
            n = T.int64()
            if c:  # noqa: SIM108
                y = R.zeros((n, 2), "float32")
            else:
                y = R.ones((n, 2), "float32")
            return y

    outlined = OutlineBranches()(Sized)
    for name in ("then_branch", "else_branch"):
        (parameter,) = outlined[name].params
        assert isinstance(parameter.ty, relax.ShapeType)


def test_functions_without_if_are_unchanged():
    without = tvm.IRModule({"main": Expected["else_branch"].with_attr("global_symbol", "main")})
    assert OutlineBranches()(without).same_as(without)
