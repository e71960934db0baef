"""Keep a fused product fused on 32-bit ARM, where LLVM thinks two instructions faster than one.

It takes TVM's ``fma`` for leave to fuse, not for an order, and computes a product that two sums
share once, rounded: other bits than everywhere else. Where the target has the instruction, its
intrinsic says so without a choice.
"""

import tvm
import tvm_ffi

from quake_tvm.generation import tir

FMA = tvm.ir.Op.get("tirx.fma")


def _fused(call: tvm.ir.Call) -> tir.Expr:
    if not call.op.same_as(FMA):
        return call
    return tir.call_llvm_pure_intrin(str(call.ty.dtype), "llvm.fma", *call.args)


def fuse_products(function: tir.PrimFunc, target: tvm.target.Target) -> tir.PrimFunc:
    """The function with every ``fma`` an order, if the target is 32-bit ARM with VFPv4."""
    if not tvm.target.codegen.target_has_features("vfp4", target):
        return function
    return function.with_body(tvm_ffi.structural_map(function.body, (tvm.ir.Call, _fused)))
