"""Divisors that are sizes are at least 1 where a kernel allocates by what it divides.

TVM shrinks what a kernel allocates to what its loops reach, and computes that before they run: with
the extents of fused loops as divisors, which are 0 where a tensor has no elements.
"""

import tvm
import tvm_ffi
from tvm import s_tir

from quake_tvm.tvm_version import dtype_of, tir

from .analysis import constant


def above_zero(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with such divisors held; one that allocates known sizes is left as it is."""
    if not _allocates_open_sizes(function):
        return function

    def hold(node: tir.FloorDiv | tir.FloorMod) -> tir.Expr:
        if constant(node.b) is not None or not _is_size(node.b):
            return node
        return type(node)(node.a, tir.max(node.b, tir.const(1, dtype_of(node.b))))

    return function.with_body(
        tvm_ffi.structural_map(function.body, ((tir.FloorDiv, tir.FloorMod), hold))
    )


def _allocates_open_sizes(function: tir.PrimFunc) -> bool:
    found: list[bool] = []

    def see(block: s_tir.SBlock) -> None:
        found.extend(constant(n) is None for b in block.alloc_buffers for n in b.shape)

    tvm_ffi.structural_walk(function.body, (s_tir.SBlock, see))
    return any(found)


def _is_size(divisor: tir.Expr) -> bool:
    """Whether it is a whole number that was not loaded."""
    found: list[bool] = []
    tvm_ffi.structural_walk(divisor, (tvm.ir.TensorLoad, lambda _: found.append(True)))
    return "int" in dtype_of(divisor) and not found
