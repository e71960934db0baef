"""Keep the products of a block rounded when a rule inlines blocks into each other.

LLVM contracts a*b + c to one fma wherever it sees both operations. In the plain loops the product
of one block is stored to memory, and thus rounded, before another block adds to it. Inlining the
two blocks would change these bits. An arithmetic fence around the product prevents this and costs
no instruction.
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
    """The function with an arithmetic fence around every float32 product that it stores."""

    def store(node: tir.BufferStore) -> tir.BufferStore:
        fenced = _fenced(node.value)
        if fenced is node.value:
            return node
        return tir.BufferStore(node.buffer, fenced, node.indices)

    return function.with_body(tvm_ffi.structural_map(function.body, (tir.BufferStore, store)))
