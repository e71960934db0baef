"""Add to a sum within a dot product, as the instruction does.

A product of pairs or groups is written ``c += dot(0, a, b)``, so that TVM sees a sum. This makes it
``c = dot(c, a, b)``. For bfloat16 it rounds twice and not three times. Knows no tile.
"""

import tvm_ffi

from quake_tvm.numerics import (
    bfloat16_pairs,
    byte_dots,
    pair_instructions,  # noqa: F401  (compiles the dot products of pairs)
)
from quake_tvm.tvm_version import dtype_of, tir


def _added(node: tir.Add) -> tir.Expr:
    dot = node.b
    if not bfloat16_pairs.is_dot(dot) and byte_dots.format_of_call(dot) is None:
        return node
    start, *operands = dot.args
    zero = isinstance(start, tir.FloatImm | tir.IntImm) and start.value == 0
    return tir.call_intrin(dtype_of(dot), dot.op, node.a, *operands) if zero else node


def accumulate(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with every addition of a dot product inside that dot product."""
    body = tvm_ffi.structural_map(function.body, (tir.Add, _added))
    return function if body.same_as(function.body) else function.with_body(body)
