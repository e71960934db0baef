"""Divisors that are sizes are at least 1, and TVM can tell.

Loops of unknown length that are fused divide by their extents. TVM rounds a quotient down by
comparisons, unless it knows that the divisor is positive: quotients within quotients then take its
simplifier exponential time. It also shrinks what a kernel allocates to what its loops reach, and
divides by these extents before the loops run, where an extent may be 0.
"""

import tvm
import tvm_ffi

from quake_tvm.generation import dtype_of, tir

from .analysis import constant


def above_zero(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with such divisors held; one without them is left as it is."""

    def hold(node: tir.FloorDiv | tir.FloorMod) -> tir.Expr:
        if "int" not in dtype_of(node.b) or constant(node.b) is not None or _is_data(node.b):
            return node
        return type(node)(node.a, tir.max(node.b, tir.const(1, dtype_of(node.b))))

    body = tvm_ffi.structural_map(function.body, ((tir.FloorDiv, tir.FloorMod), hold))
    return function if body.same_as(function.body) else function.with_body(body)


def _is_data(divisor: tir.Expr) -> bool:
    """Whether it is not a size, but was loaded."""
    found: list[bool] = []
    tvm_ffi.structural_walk(divisor, (tvm.ir.TensorLoad, lambda _: found.append(True)))
    return bool(found)
