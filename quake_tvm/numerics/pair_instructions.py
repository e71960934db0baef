"""The operators of :mod:`bfloat16_pairs` as instructions, or spelled out where there are none.

They are replaced in front of TVM's code generator, where vectors are known. Knows instruction sets,
no product.
"""

from collections.abc import Callable

import tvm
import tvm_ffi

from ..tvm_version import (
    PREFIX,
    Call,
    Expr,
    dtype_of,
    import_llvm,
    is_load,
    replace_build,
    replace_calls,
    tir,
    updated,
)
from . import (
    single_rounding,  # noqa: F401  (its preparation of builds must run after this one)
    x86_narrowing,
)
from .bfloat16_pairs import DOT, NARROW, PAIR, joined

# LLVM IR of the operators with an instruction.
_DOT_BY = """
define internal {float} @{name}({float} %c, {integer} %a, {integer} %b) alwaysinline {{
  %x = bitcast {integer} %a to {halves}
  %y = bitcast {integer} %b to {halves}
"""
_X86_DOT = (
    """
declare {float} @llvm.x86.avx512bf16.dpbf16ps.{bits}({float}, {halves}, {halves})"""
    + _DOT_BY
    + """
  %r = call {float} @llvm.x86.avx512bf16.dpbf16ps.{bits}({float} %c, {halves} %x, {halves} %y)
  ret {float} %r
}}
"""
)
_ARM_DOT = (
    """
declare {float} @llvm.aarch64.neon.bfmlalt({float}, {halves}, {halves})
declare {float} @llvm.aarch64.neon.bfmlalb({float}, {halves}, {halves})"""
    + _DOT_BY
    + """
  %d = call {float} @llvm.aarch64.neon.bfmlalt({float} %c, {halves} %x, {halves} %y)
  %r = call {float} @llvm.aarch64.neon.bfmlalb({float} %d, {halves} %x, {halves} %y)
  ret {float} %r
}}
"""
)
_ARM_NARROW = """
define internal {short} @{name}({float} %x) alwaysinline {{
  %y = fptrunc {float} %x to {half}
  %r = bitcast {half} %y to {short}
  ret {short} %r
}}
"""
# Vectors of several registers, which LLVM splits.
_WIDER = (32, 64, 128)
# By LLVM's name of an instruction set: the code of each operator, by the lanes that it has.
_INSTRUCTIONS = {
    "avx512bf16": {
        DOT: {16: _X86_DOT},
        NARROW: dict.fromkeys((16, *_WIDER), x86_narrowing.NARROW),
    },
    "bf16": {
        DOT: {4: _ARM_DOT},
        NARROW: dict.fromkeys((4, 8, 16, *_WIDER), _ARM_NARROW),
    },
}
# Faster, where a target has AVX512DQ as well.
_NARROW_MANY = {lanes: x86_narrowing.narrow_many(lanes) for lanes in _WIDER}


def _dot(c: Expr, a: Expr, b: Expr) -> Expr:
    dtype = dtype_of(a)

    def high(pair: Expr) -> Expr:
        return tir.reinterpret(dtype_of(c), pair & tir.const(-(1 << 16), dtype))

    def low(pair: Expr) -> Expr:
        return tir.reinterpret(dtype_of(c), pair << tir.const(16, dtype))

    def fma(x: Expr, y: Expr, z: Expr) -> Expr:
        # What TVM has lowered its own fma to by now.
        return tir.call_llvm_pure_intrin(dtype_of(c), "llvm.fmuladd", x, y, z)

    return fma(low(a), low(b), fma(high(a), high(b), c))


def _narrow(x: Expr) -> Expr:
    """The addition that rounds would carry a NaN into the sign bit."""
    dtype = dtype_of(x).replace("float", "uint")
    bits = tir.Var("bits", dtype)

    def number(value: int) -> Expr:
        return tir.const(value, dtype)

    rounded = bits + (number(0x7FFF) + ((bits >> number(16)) & number(1)))
    is_nan = (bits & number(0x7FFFFFFF)) > number(0x7F800000)
    chosen = tir.Select(is_nan, bits | number(1 << 22), rounded)
    narrowed = tir.Cast(dtype.replace("uint32", "uint16"), chosen >> number(16))
    return tir.Let(bits, tir.reinterpret(dtype, x), narrowed)


# The operators where the target has no instruction.
_SPELLED_OUT: dict[str, Callable[..., Expr]] = {DOT: _dot, PAIR: joined, NARROW: _narrow}


def has_instruction(target: tvm.target.Target) -> bool:
    """Whether the target has instructions for :func:`dot` and :func:`narrowed`."""
    return bool(_instructions(target))


def _instructions(target: tvm.target.Target) -> dict[str, dict[int, str]]:
    """The code of the operators that the target has instructions for, by their lanes."""
    has = tvm.target.codegen.target_has_features
    if has("vfp4", target):  # 32-bit ARM, for which LLVM has other intrinsics
        return {}
    own = next((own for name, own in _INSTRUCTIONS.items() if has(name, target)), {})
    if own and has("avx512dq", target):
        own = own | {NARROW: own[NARROW] | _NARROW_MANY}
    # A target may have them for whole registers only.
    if own and has("avx512vl", target):
        return {op: dict.fromkeys((4, 8), code[16]) | code for op, code in own.items()}
    return own


def _name(operator: str, lanes: int) -> str:
    return f"{operator.removeprefix(PREFIX)}_{lanes}"


def _source(operator: str, code: str, lanes: int) -> str:
    return code.format(
        name=_name(operator, lanes),
        bits=32 * lanes,
        float=f"<{lanes} x float>",
        integer=f"<{lanes} x i32>",
        short=f"<{lanes} x i16>",
        mask=f"<{lanes} x i1>",
        half=f"<{lanes} x bfloat>",
        halves=f"<{2 * lanes} x bfloat>",
    )


def _pairs_at_once(body: tir.Stmt) -> tir.Stmt:
    """The statement, in which :func:`pair` of two numbers in memory reads an int32.

    LLVM joins the two reads as well. But it loses track then of what the one read may alias, and
    stores all sums of a product in every step.
    """
    views: dict[tir.Var, tir.Var] = {}

    def read(call: Call) -> Expr:
        in_memory = all(map(is_load, call.args))
        if not (in_memory and isinstance(call.op, tvm.ir.Op) and call.op.name == PAIR):
            return call
        (index,), source = call.args[0].indices, call.args[0].source
        if source not in views:
            views[source] = tir.decl_buffer((1,), "int32", f"{source.name}_pairs", source.data)
        half = tir.shift_right(index, tir.const(1, dtype_of(index)))
        return tir.BufferLoad(views[source], [half])

    def declare(stmt: tir.DeclBuffer | tir.AllocBuffer) -> tir.Stmt:
        if stmt.buffer not in views:
            return stmt
        view = tir.DeclBuffer(views[stmt.buffer], data=stmt.buffer.data)
        return tir.SeqStmt([stmt, view])

    body = replace_calls(body, read)
    if not views:
        return body
    return tvm_ffi.structural_map(body, ((tir.DeclBuffer, tir.AllocBuffer), declare))


def _prepare(mod: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Replace the operators in a lowered module by the target's instructions or by others."""
    instructions = _instructions(target)
    found: set[str] = set()
    used: set[tuple[str, int]] = set()

    def replace(call: Call) -> Expr:
        operator = call.op.name if isinstance(call.op, tvm.ir.Op) else ""
        if operator not in _SPELLED_OUT:
            return call
        lanes = tvm.DataType(dtype_of(call)).lanes
        found.add(operator)
        if operator not in instructions or lanes not in instructions[operator]:
            return _SPELLED_OUT[operator](*call.args)
        used.add((operator, lanes))
        return tir.call_pure_extern(dtype_of(call), _name(operator, lanes), *call.args)

    functions = {
        name: function.with_body(replace_calls(_pairs_at_once(function.body), replace))
        for name, function in mod.functions.items()
        if isinstance(function, tir.PrimFunc)
    }
    if not found:
        return mod
    if used:  # the import applies to the whole module
        source = "".join(_source(op, instructions[op][lanes], lanes) for op, lanes in sorted(used))
        first = next(iter(functions))
        functions[first] = functions[first].with_body(import_llvm(source, functions[first].body))
    return updated(mod, functions)


replace_build("llvm", _prepare)
