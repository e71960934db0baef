"""Keep a fused product fused on 32-bit ARM, where LLVM thinks two instructions faster than one.

It takes TVM's ``fma`` for leave to fuse, not for an order, and computes a product that two sums
share once, rounded: other bits than everywhere else. Where the target has the instruction, its
intrinsic says so without a choice.
"""

import tvm

from quake_tvm.generation import PREFIX, Call, dtype_of, replace_calls, tir

FMA = tvm.ir.Op.get(PREFIX + "fma")


def _fused(call: Call) -> tir.Expr:
    if not call.op.same_as(FMA):
        return call
    return tir.call_llvm_pure_intrin(dtype_of(call), "llvm.fma", *call.args)


def fuse_products(function: tir.PrimFunc, target: tvm.target.Target) -> tir.PrimFunc:
    """The function with every ``fma`` an order, if the target is 32-bit ARM with VFPv4."""
    if not tvm.target.codegen.target_has_features("vfp4", target):
        return function
    return function.with_body(replace_calls(function.body, _fused))
