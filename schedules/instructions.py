"""Replace two operations by one instruction where the target has it.

A ``max`` or ``min`` with its constant first lets NaN pass; ARM's own does that by itself, where
TVM's is a compare and a selection. Its conversion to unsigned integers stops at zero, so the clamp
before it goes. Bits stay as they were. Knows instructions, no operator.
"""

from collections.abc import Callable

import tvm
import tvm_ffi

from quake_tvm.tvm_version import dtype_of, tir

from .choices import choices

LLVM = {tir.Max: "llvm.maximum", tir.Min: "llvm.minimum"}


def _single(value: tir.Expr) -> bool:
    return dtype_of(value) == "float32"


def _clamp(anywhere: bool) -> Callable[[tir.Expr], tir.Expr]:
    """To the target's own maximum and minimum; ``anywhere`` also between two variables.

    Between variables TVM's yields the second if either is NaN, which kernels over rows, that let a
    NaN spread, do not ask for, but others may. A clamp at 0 stays: of two zeros the target takes
    one by its sign.
    """

    def replace(node: tir.Max | tir.Min) -> tir.Expr:
        if not _single(node) or isinstance(node.b, tir.FloatImm):
            return node
        clamp = isinstance(node.a, tir.FloatImm)
        if not (node.a.value if clamp else anywhere):
            return node
        return tir.call_llvm_pure_intrin("float32", LLVM[type(node)], node.a, node.b)

    return replace


def _unsigned(node: tir.Cast) -> tir.Expr:
    """int(max(0, y)) as a conversion that stops at zero."""
    value = node.value
    clamped = isinstance(value, tir.Max) and _single(value) and isinstance(value.a, tir.FloatImm)
    if dtype_of(node) != "int32" or not clamped or value.a.value != 0:
        return node
    return tir.reinterpret("int32", tir.call_llvm_pure_intrin("uint32", "llvm.fptoui.sat", value.b))


def choose_instructions(
    function: tir.PrimFunc, target: tvm.target.Target, over_rows: bool
) -> tir.PrimFunc:
    """The function with the target's own clamps and conversions; ``over_rows`` lets NaN spread."""
    known = choices(target)
    body = function.body
    if known.saturating_conversion:
        body = tvm_ffi.structural_map(body, (tir.Cast, _unsigned))
    if known.clamps_pass_nan:
        body = tvm_ffi.structural_map(body, ((tir.Max, tir.Min), _clamp(over_rows)))
    return function.with_body(body)
