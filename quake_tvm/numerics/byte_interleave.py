"""Four bytes as one group: those of four vectors, element by element, become int32.

``interleaved(a, b, c, d)`` has a in the low bits, as a group of :mod:`byte_dots`. TVM would widen
each vector and shift it; here LLVM gets shuffles, for which all targets have instructions. The
operator is replaced in front of TVM's code generator, where vectors are known.
"""

from collections.abc import Sequence

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

OPERATOR = f"{PREFIX}quake_interleaved"
_PURE = 1  # TVM's CallEffectKind.Pure
_GROUP = 4

register_op(OPERATOR, "four bytes as an int32")
tvm.ir.register_op_attr(OPERATOR, "TVectorizable", True)
tvm.ir.register_op_attr(OPERATOR, "TCallEffectKind", _PURE)
tvm.ir.register_op_attr(OPERATOR, "TScriptPrinterName", OPERATOR.removeprefix(PREFIX))


def interleaved(parts: Sequence[Expr]) -> Expr:
    """The int32 whose bytes are these four int8 or uint8 numbers, the first in the low bits."""
    return tir.call_intrin("int32", OPERATOR, *parts)


def _spelled_out(*parts: Expr) -> Expr:
    """The group of four bytes that are no vectors."""
    bits = [tir.Cast("uint32", tir.reinterpret("uint8", part)) for part in parts]
    for number in range(1, _GROUP):
        bits[0] = bits[0] | bits[number] << tir.const(8 * number, "uint32")
    return tir.reinterpret("int32", bits[0])


def _name(lanes: int) -> str:
    return f"quake_interleaved_{lanes}"


def _source(lanes: int) -> str:
    """The function for vectors: elements of pairs alternate, then pairs of the two results."""

    def alternating(count: int) -> str:
        return ", ".join(f"i32 {n}, i32 {n + count}" for n in range(count))

    part, pair, whole = f"<{lanes} x i8>", f"<{2 * lanes} x i8>", f"<{lanes} x i32>"
    halves, order = f"<{lanes} x i16>", f"<{2 * lanes} x i32> <{alternating(lanes)}>"
    return f"""
define internal {whole} @{_name(lanes)}({part} %a, {part} %b, {part} %c, {part} %d) alwaysinline {{
  %ab = shufflevector {part} %a, {part} %b, {order}
  %cd = shufflevector {part} %c, {part} %d, {order}
  %low = bitcast {pair} %ab to {halves}
  %high = bitcast {pair} %cd to {halves}
  %all = shufflevector {halves} %low, {halves} %high, {order}
  %r = bitcast <{2 * lanes} x i16> %all to {whole}
  ret {whole} %r
}}
"""


def _prepare(mod: tvm.IRModule, _: tvm.target.Target) -> tvm.IRModule:
    """Replace the operator in a lowered module."""
    used: set[int] = set()
    found: list[Call] = []

    def replace(call: Call) -> Expr:
        if not isinstance(call.op, tvm.ir.Op) or call.op.name != OPERATOR:
            return call
        found.append(call)
        lanes = tvm.DataType(dtype_of(call)).lanes
        if lanes == 1:
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
    if used:  # the import applies to the whole module
        first = next(iter(functions))
        source = "".join(map(_source, sorted(used)))
        functions[first] = functions[first].with_body(import_llvm(source, functions[first].body))
    return updated(mod, functions)


replace_build("llvm", _prepare)
