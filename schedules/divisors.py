"""Keep divisors that are sizes at 1 or more, where TVM divides outside of the loops.

TVM shrinks each allocated buffer to the region that the loops access. It computes that region
before the loops run, and divides by the extents of fused loops. It also computes a quotient that
two versions of a kernel share before it chooses one. Such an extent is 0 if a tensor has no
elements, and no loop runs.
"""

import tvm
import tvm_ffi
from tvm import s_tir

from quake_tvm.tvm_version import dtype_of, tir

from .analysis import constant
from .tiles import mentions

_DIVISIONS = (tir.FloorDiv, tir.FloorMod, tir.Div, tir.Mod)


def above_zero(function: tir.PrimFunc) -> tir.PrimFunc:
    """Clamp such divisors to at least 1.

    A function that allocates only constant shapes is unchanged.
    """
    if not _allocates_open_sizes(function):
        return function

    def hold(node: tir.FloorDiv | tir.FloorMod) -> tir.Expr:
        if constant(node.b) is not None or not _is_size(node.b):
            return node
        return type(node)(node.a, tir.max(node.b, tir.const(1, dtype_of(node.b))))

    return function.with_body(tvm_ffi.structural_map(function.body, (_DIVISIONS, hold)))


def never_zero(function: tir.PrimFunc) -> tir.PrimFunc:
    """Clamp all such divisors, and hide the clamps from TVM.

    TVM would drop a clamp inside a loop of the extent that is clamped.
    """

    def hold(node: tir.FloorDiv | tir.FloorMod) -> tir.Expr:
        if constant(node.b) is not None or not _is_size(node.b):
            return node
        least, zero = (tir.const(n, dtype_of(node.b)) for n in (1, 0))
        return type(node)(node.a, tir.bitwise_xor(tir.max(node.b, least), zero))

    return function.with_body(tvm_ffi.structural_map(function.body, (_DIVISIONS, hold)))


def divides_by_sizes(function: tir.PrimFunc) -> bool:
    """Whether a function divides by an integer that is neither constant nor loaded from memory."""

    def size(node: tir.FloorDiv | tir.FloorMod) -> bool:
        return constant(node.b) is None and _is_size(node.b)

    return any(mentions(function.body, kind, size) for kind in _DIVISIONS)


def _allocates_open_sizes(function: tir.PrimFunc) -> bool:
    found: list[bool] = []

    def see(block: s_tir.SBlock) -> None:
        found.extend(constant(n) is None for b in block.alloc_buffers for n in b.shape)

    tvm_ffi.structural_walk(function.body, (s_tir.SBlock, see))
    return any(found)


def _is_size(divisor: tir.Expr) -> bool:
    """Whether a divisor is an integer that is not loaded from memory."""
    found: list[bool] = []
    tvm_ffi.structural_walk(divisor, (tvm.ir.TensorLoad, lambda _: found.append(True)))
    return "int" in dtype_of(divisor) and not found
