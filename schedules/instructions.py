"""Replace two operations by one instruction where the target has it.

A ``max`` or ``min`` with its constant first lets NaN pass. TVM compiles it to a compare and a
select; ARM has one instruction that behaves so. ARM's conversion to unsigned integers saturates at
zero, so a clamp to zero in front of it is dropped. The result keeps its bits. Knows instructions,
no operator.
"""

from collections.abc import Callable

import tvm
import tvm_ffi

from quake_tvm.tvm_version import dtype_of, tir

from .choices import choices

# TVM's vectorizer knows the other roundings, and would serialize the lanes of this one.
tvm.ir.register_op_attr("tirx.nearbyint", "TVectorizable", True)
LLVM = {tir.Max: "llvm.maximum", tir.Min: "llvm.minimum"}


def _single(value: tir.Expr) -> bool:
    return dtype_of(value) == "float32"


def _clamp(anywhere: bool) -> Callable[[tir.Expr], tir.Expr]:
    """A rewrite of maxima and minima to the target's own instructions.

    With ``anywhere`` it also rewrites those of two variables. If either is NaN, TVM's operation
    yields the second one. Kernels over rows do not rely on this, because they propagate NaN, but
    other kernels may. A clamp at 0 is not rewritten, because the target orders the two zeros by
    sign.
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
    """Rewrite int(max(0, y)) to a conversion that saturates at zero."""
    value = node.value
    clamped = isinstance(value, tir.Max) and _single(value) and isinstance(value.a, tir.FloatImm)
    if dtype_of(node) != "int32" or not clamped or value.a.value != 0:
        return node
    return tir.reinterpret("int32", tir.call_llvm_pure_intrin("uint32", "llvm.fptoui.sat", value.b))


def choose_instructions(
    function: tir.PrimFunc, target: tvm.target.Target, over_rows: bool
) -> tir.PrimFunc:
    """Use the target's own clamps and conversions in a function.

    Parameters
    ----------
    function : PrimFunc
    target : tvm.target.Target
    over_rows : bool
        Whether the kernel propagates NaN anyway, so that maxima of two variables may be rewritten
        too.
    """
    known = choices(target)
    body = function.body
    if known.saturating_conversion:
        body = tvm_ffi.structural_map(body, (tir.Cast, _unsigned))
    if known.clamps_pass_nan:
        body = tvm_ffi.structural_map(body, ((tir.Max, tir.Min), _clamp(over_rows)))
    return function.with_body(body)
