"""Add to a sum within the dot product of pairs of bfloat16 numbers, as its instruction does.

A product of pairs is written ``c += dot(0, a, b)``, so that TVM sees a sum. This makes it ``c =
dot(c, a, b)``, which rounds twice and not three times. Knows no tile.
"""

import tvm_ffi

from quake_tvm.numerics import pair_instructions  # noqa: F401  (compiles what is made here)
from quake_tvm.numerics.bfloat16_pairs import dot, is_dot
from quake_tvm.tvm_version import tir


def _added(node: tir.Add) -> tir.Expr:
    if not is_dot(node.b):
        return node
    start, a, b = node.b.args
    return dot(node.a, a, b) if isinstance(start, tir.FloatImm) and start.value == 0 else node


def accumulate_pairs(function: tir.PrimFunc) -> tir.PrimFunc:
    """The function with every addition of a dot product inside that dot product."""
    return function.with_body(tvm_ffi.structural_map(function.body, (tir.Add, _added)))
