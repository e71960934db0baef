"""Keep each block's products rounded when rules inline blocks into each other.

LLVM contracts a*b + c to one fma wherever it sees both. A rule that inlines a block ending in a
product into one that adds would so change bits against the plain loops, where the product went
through memory. An arithmetic fence around such a product costs no instruction and keeps them.
"""

import tvm_ffi

from quake_tvm.tvm_version import tir


def _fenced(value: tir.Expr) -> tir.Expr:
    if isinstance(value, tir.Let):
        return tir.Let(value.var, value.value, _fenced(value.body))
    if isinstance(value, tir.Mul) and str(value.ty.dtype) == "float32":
        return tir.call_llvm_pure_intrin("float32", "llvm.arithmetic.fence", value)
    return value


def fence_products(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with every stored float32 product fenced."""

    def store(node: tir.BufferStore) -> tir.BufferStore:
        fenced = _fenced(node.value)
        if fenced is node.value:
            return node
        return tir.BufferStore(node.buffer, fenced, node.indices)

    return function.with_body(tvm_ffi.structural_map(function.body, (tir.BufferStore, store)))
