"""A run makes each shape once."""

import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from quake_tvm.passes.relax.reuse_shapes import ReuseShapes


@I.ir_module(check_well_formed=False)
class Before:
    @R.function(pure=False)
    def main(heap: R.Tensor(dtype="int64", ndim=1)) -> R.Tuple(R.Shape, R.Shape, R.Shape):
        a = R.call_packed("vm.builtin.make_shape", heap, 1, 1, 0, ty_args=(R.Shape(ndim=1),))
        b = R.call_packed("vm.builtin.make_shape", heap, 1, 1, 1, ty_args=(R.Shape(ndim=1),))
        c = R.call_packed("vm.builtin.make_shape", heap, 1, 1, 0, ty_args=(R.Shape(ndim=1),))
        return (a, b, c)


@I.ir_module(check_well_formed=False)
class Expected:
    @R.function(pure=False)
    def main(heap: R.Tensor(dtype="int64", ndim=1)) -> R.Tuple(R.Shape, R.Shape, R.Shape):
        a = R.call_packed("vm.builtin.make_shape", heap, 1, 1, 0, ty_args=(R.Shape(ndim=1),))
        b = R.call_packed("vm.builtin.make_shape", heap, 1, 1, 1, ty_args=(R.Shape(ndim=1),))
        return (a, b, a)


@I.ir_module(check_well_formed=False)
class Branches:
    @R.function(pure=False)
    def main(heap: R.Tensor(dtype="int64", ndim=1), p: R.Tensor((), "bool")) -> R.Shape(ndim=1):
        if p:
            a = R.call_packed("vm.builtin.make_shape", heap, 1, 1, 0, ty_args=(R.Shape(ndim=1),))
        else:
            a = R.call_packed("vm.builtin.make_shape", heap, 1, 1, 0, ty_args=(R.Shape(ndim=1),))
        return a


def test_a_shape_is_made_once():
    tvm.ir.assert_structural_equal(ReuseShapes()(Before), Expected)


def test_branches_do_not_share():
    tvm.ir.assert_structural_equal(ReuseShapes()(Branches), Branches)


def test_functions_without_shapes_are_unchanged():
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((2,), "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(x)
    mod = builder.get()
    assert ReuseShapes()(mod).same_as(mod)
