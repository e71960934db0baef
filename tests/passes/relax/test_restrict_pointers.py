"""No function of a compiled module makes TVM's code generator assume that tensors overlap."""

import tvm
from tvm import relax, tirx
from tvm.script import ir as I
from tvm.script import tirx as T

import quake_tvm
from quake_tvm.passes.relax.pipeline import Pipeline
from quake_tvm.passes.relax.restrict_pointers import NO_ALIAS, RestrictPointers
from tests.helpers import module


def test_functions_of_a_single_tensor_are_restricted():
    @I.ir_module
    class Before:
        @T.prim_func(s_tir=True)
        def check(n: T.int64):
            T.evaluate(n)

        @T.prim_func(s_tir=True)
        def heap(a: T.Buffer((2,), "int64")):
            a[1] = a[0]

        @T.prim_func(s_tir=True)
        def copy(a: T.Buffer((1,), "int64"), b: T.Buffer((1,), "int64")):
            b[0] = a[0]

        @T.prim_func(s_tir=True)
        def pointers(a: T.handle, b: T.handle):
            T.evaluate(0)

    @I.ir_module
    class Expected:
        @T.prim_func(s_tir=True)
        def check(n: T.int64):
            T.func_attr({"tirx.noalias": True})
            T.evaluate(n)

        @T.prim_func(s_tir=True)
        def heap(a: T.Buffer((2,), "int64")):
            T.func_attr({"tirx.noalias": True})
            a[1] = a[0]

        @T.prim_func(s_tir=True)
        def copy(a: T.Buffer((1,), "int64"), b: T.Buffer((1,), "int64")):
            b[0] = a[0]

        @T.prim_func(s_tir=True)
        def pointers(a: T.handle, b: T.handle):
            T.evaluate(0)

    tvm.ir.assert_structural_equal(RestrictPointers()(Before), Expected)


def test_last_function_of_symbolic_sizes_is_restricted():
    mod = module(relax.op.nn.softmax, (tirx.Var("m", "int64"), tirx.Var("n", "int64")))
    on = quake_tvm.target("native")
    with on:
        done = Pipeline.of(on, method="quake2").upto("finish")(mod)
    functions = {
        name.name_hint: function
        for name, function in done.functions_items()
        if isinstance(function, tirx.PrimFunc)
    }
    assert max(functions) == "shape_func"
    assert all(function.attrs[NO_ALIAS] for function in functions.values())
