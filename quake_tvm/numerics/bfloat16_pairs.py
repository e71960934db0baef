"""Dot products of two pairs of bfloat16 numbers, added to a float32: ``vdpbf16ps`` and its like.

A pair is an int32. Its low half is the number with the even index. ``dot(c, a, b)`` is
fma(low a, low b, fma(high a, high b, c)). The instructions of AVX512-BF16 and of ARM's BF16 give
these bits, except that x86's takes subnormal numbers for zero. CPUs without them compute the two
fmas. The operator is replaced in front of TVM's code generator, where vectors are known. Knows no
operator of the registry and no schedule.
"""

import numpy as np
import tvm

from ..tvm_version import (
    PREFIX,
    Call,
    Expr,
    dtype_of,
    import_llvm,
    register_op,
    replace_build,
    replace_calls,
    tir,
    updated,
)
from . import single_rounding  # noqa: F401  (its preparation of builds must run after this one)
from .number_formats import bfloat16_bits

_OPERATOR = f"{PREFIX}quake_pair_dot"
_PURE = 1  # TVM's CallEffectKind.Pure
register_op(_OPERATOR, "fma(low a, low b, fma(high a, high b, c))")
for _key, _value in (("TVectorizable", True), ("TCallEffectKind", _PURE)):
    tvm.ir.register_op_attr(_OPERATOR, _key, _value)

# For each instruction set: the LLVM feature, and the LLVM IR by the number of lanes.
_DEFINED = """
define internal {float} @{name}({float} %c, {integer} %a, {integer} %b) alwaysinline {{
  %x = bitcast {integer} %a to {halves}
  %y = bitcast {integer} %b to {halves}
"""
_X86 = (
    """
declare {float} @llvm.x86.avx512bf16.dpbf16ps.{bits}({float}, {halves}, {halves})"""
    + _DEFINED
    + """
  %r = call {float} @llvm.x86.avx512bf16.dpbf16ps.{bits}({float} %c, {halves} %x, {halves} %y)
  ret {float} %r
}}
"""
)
_ARM = (
    """
declare {float} @llvm.aarch64.neon.bfmlalt({float}, {halves}, {halves})
declare {float} @llvm.aarch64.neon.bfmlalb({float}, {halves}, {halves})"""
    + _DEFINED
    + """
  %d = call {float} @llvm.aarch64.neon.bfmlalt({float} %c, {halves} %x, {halves} %y)
  %r = call {float} @llvm.aarch64.neon.bfmlalb({float} %d, {halves} %x, {halves} %y)
  ret {float} %r
}}
"""
)
_INSTRUCTIONS = {"avx512bf16": (_X86, (4, 8, 16)), "bf16": (_ARM, (4,))}


def packed(even: Expr, odd: Expr) -> Expr:
    """The pair of two float32 numbers, rounded to bfloat16."""
    upper = bfloat16_bits(odd) & tir.const(0xFFFF0000, "uint32")
    lower = bfloat16_bits(even) >> tir.const(16, "uint32")
    return tir.reinterpret("int32", upper | lower)


def packed_rows(values: np.ndarray) -> np.ndarray:
    """Pairs of neighbouring rows of a matrix.

    Parameters
    ----------
    values : np.ndarray
        float32, of shape (k, ..).

    Returns
    -------
    np.ndarray
        int32, of shape ((k + 1)/2, ..). The last row of an odd number is paired with zeros.
    """
    if len(values) % 2:
        values = np.concatenate([values, np.zeros_like(values[:1])])
    bits = values.astype("bfloat16").view(np.uint16).astype(np.uint32)
    return (bits[1::2] << 16 | bits[::2]).view(np.int32)


def dot(c: Expr, a: Expr, b: Expr) -> Expr:
    """c plus the dot product of the pairs a and b.

    Parameters
    ----------
    c : Expr
        float32.
    a, b : Expr
        int32: pairs.
    """
    return tir.call_intrin(dtype_of(c), _OPERATOR, c, a, b)


def is_dot(expr: Expr) -> bool:
    """Whether the expression is a :func:`dot`."""
    return isinstance(expr, Call) and isinstance(expr.op, tvm.ir.Op) and expr.op.name == _OPERATOR


def _spelled_out(c: Expr, a: Expr, b: Expr) -> Expr:
    dtype = dtype_of(a)

    def high(pair: Expr) -> Expr:
        return tir.reinterpret(dtype_of(c), pair & tir.const(-(1 << 16), dtype))

    def low(pair: Expr) -> Expr:
        return tir.reinterpret(dtype_of(c), pair << tir.const(16, dtype))

    def fma(x: Expr, y: Expr, z: Expr) -> Expr:
        # What TVM has lowered its own fma to by now.
        return tir.call_llvm_pure_intrin(dtype_of(c), "llvm.fmuladd", x, y, z)

    return fma(low(a), low(b), fma(high(a), high(b), c))


def has_instruction(target: tvm.target.Target) -> bool:
    """Whether the target has an instruction for :func:`dot`."""
    return _instruction(target) is not None


def _instruction(target: tvm.target.Target) -> tuple[str, tuple[int, ...]] | None:
    has = tvm.target.codegen.target_has_features
    if has("vfp4", target):  # 32-bit ARM, for which LLVM has other intrinsics
        return None
    return next((code for name, code in _INSTRUCTIONS.items() if has(name, target)), None)


def _name(lanes: int) -> str:
    return f"quake_pair_dot_{lanes}"


def _source(code: str, lanes: int) -> str:
    return code.format(
        name=_name(lanes),
        bits=32 * lanes,
        float=f"<{lanes} x float>",
        integer=f"<{lanes} x i32>",
        halves=f"<{2 * lanes} x bfloat>",
    )


def _prepare(mod: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Replace :func:`dot` in a lowered module by the target's instruction or by two fmas."""
    instruction = _instruction(target)
    found: set[int] = set()
    used: set[int] = set()

    def replace(call: Call) -> Expr:
        if not is_dot(call):
            return call
        lanes = tvm.DataType(dtype_of(call)).lanes
        found.add(lanes)
        if instruction is None or lanes not in instruction[1]:
            return _spelled_out(*call.args)
        used.add(lanes)
        return tir.call_pure_extern(dtype_of(call), _name(lanes), *call.args)

    functions = {
        name: function.with_body(replace_calls(function.body, replace))
        for name, function in mod.functions.items()
        if isinstance(function, tir.PrimFunc)
    }
    if not found:
        return mod
    if instruction is not None and used:  # the import applies to the whole module
        source = "".join(_source(instruction[0], lanes) for lanes in sorted(used))
        first = next(iter(functions))
        functions[first] = functions[first].with_body(import_llvm(source, functions[first].body))
    return updated(mod, functions)


replace_build("llvm", _prepare)
