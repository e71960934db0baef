"""Only stored products get a fence."""

import tvm
from tvm.script import tirx as T

from quake_tvm.schedules.fence import fence_products


def test_products_are_fenced_sums_are_not():
    @T.prim_func(s_tir=True)
    def before(
        a: T.Buffer((8,), "float32"), b: T.Buffer((8,), "float32"), k: T.Buffer((8,), "int32")
    ):
        product = T.sblock_alloc_buffer((8,))
        for i in range(8):
            with T.sblock("product"):
                v = T.axis.spatial(8, i)
                product[v] = a[v] * T.float32(3)
        for i in range(8):
            with T.sblock("sum"):
                v = T.axis.spatial(8, i)
                b[v] = product[v] + a[v]
        for i in range(8):
            with T.sblock("integers"):
                v = T.axis.spatial(8, i)
                k[v] = k[v] * 3

    @T.prim_func(s_tir=True)
    def expected(
        a: T.Buffer((8,), "float32"), b: T.Buffer((8,), "float32"), k: T.Buffer((8,), "int32")
    ):
        product = T.sblock_alloc_buffer((8,))
        for i in range(8):
            with T.sblock("product"):
                v = T.axis.spatial(8, i)
                product[v] = T.call_llvm_pure_intrin(
                    "float32", "llvm.arithmetic.fence", a[v] * T.float32(3)
                )
        for i in range(8):
            with T.sblock("sum"):
                v = T.axis.spatial(8, i)
                b[v] = product[v] + a[v]
        for i in range(8):
            with T.sblock("integers"):
                v = T.axis.spatial(8, i)
                k[v] = k[v] * 3

    tvm.ir.assert_structural_equal(fence_products(before).body, expected.body, map_free_vars=True)
