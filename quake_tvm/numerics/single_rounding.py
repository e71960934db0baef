"""Fused multiply-adds that round once on every target, emulated in float64 where necessary.

TVM's ``fma`` permits LLVM to round twice. LLVM does so on 32-bit ARM, where this module emits
LLVM's own fma intrinsic, and on CPUs without the instruction. There the intrinsic would call the C
library's ``fmaf`` for each element, so the operation is emitted as LLVM IR. A product of two
float32 is exact in float64. The sum is not, and rounding it a second time, to float32, would
sometimes be wrong. So the sum is rounded to odd: if it is not exact, its last bit is set. With 53
bits against 24 the second rounding then equals the rounding of the exact sum, for results of every
size, infinities and NaNs included. In other types, in which no operator of the registry computes,
the C library is called.

Source: S. Boldo and G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms
using rounding to odd", IEEE Transactions on Computers 57(4), 2008; the sum's error is Knuth's.

The pass runs in front of TVM's code generator, so that it applies to every way to build. As a TIR
expression TVM would simplify the emulation: (x + y) - x to y. Knows instruction sets, no operator
and no schedule.
"""

import tvm

from ..tvm_version import (
    Call,
    Expr,
    dtype_of,
    fma_operands,
    import_llvm,
    llvm_fma,
    replace_build,
    replace_calls,
    tir,
    updated,
)

# LLVM feature names. Each of them means that the CPU has an fma instruction.
INSTRUCTIONS = ("fma", "fma4", "vfp4", "fp-armv8", "f")
# LLVM inlines this function. The error of an infinite sum is NaN, for which ``fcmp one`` is false.
_SOURCE = """
define {float} @{name}({float} %a, {float} %b, {float} %c) {{
  %x = fpext {float} %a to {double}
  %y = fpext {float} %b to {double}
  %z = fpext {float} %c to {double}
  %product = fmul {double} %x, %y
  %sum = fadd {double} %product, %z
  %of_z = fsub {double} %sum, %product
  %of_product = fsub {double} %sum, %of_z
  %missing_product = fsub {double} %product, %of_product
  %missing_z = fsub {double} %z, %of_z
  %error = fadd {double} %missing_product, %missing_z
  %bits = bitcast {double} %sum to {integer}
  %error_bits = bitcast {double} %error to {integer}
  %signs = xor {integer} %bits, %error_bits
  %minus_if_opposite = ashr {integer} %signs, {sixty_three}
  %cut_off = add {integer} %bits, %minus_if_opposite
  %odd = or {integer} %cut_off, {one}
  %inexact = fcmp one {double} %error, {zero}
  %chosen = select {boolean} %inexact, {integer} %odd, {integer} %bits
  %rounded_to_odd = bitcast {integer} %chosen to {double}
  %result = fptrunc {double} %rounded_to_odd to {float}
  ret {float} %result
}}
"""


def has_instruction(target: tvm.target.Target) -> bool:
    """Whether the target has an instruction that rounds a product and a sum once."""
    has = tvm.target.codegen.target_has_features
    return any(has(feature, target) for feature in INSTRUCTIONS)


def _name(lanes: int) -> str:
    return f"quake_fma_{lanes}"


def _source(lanes: int) -> str:
    """The LLVM IR of the emulation for vectors of ``lanes`` numbers."""

    def of(element: str) -> str:
        return element if lanes == 1 else f"<{lanes} x {element}>"

    def all_of(value: int) -> str:
        return str(value) if lanes == 1 else f"<{', '.join([f'i64 {value}'] * lanes)}>"

    return _SOURCE.format(
        name=_name(lanes),
        float=of("float"),
        double=of("double"),
        integer=of("i64"),
        boolean=of("i1"),
        one=all_of(1),
        sixty_three=all_of(63),
        zero="0.0" if lanes == 1 else "zeroinitializer",
    )


def _is_certain(target: tvm.target.Target) -> bool:
    """Whether LLVM makes one instruction of TVM's ``fma`` without the intrinsic.

    For 32-bit ARM LLVM considers two instructions faster than one. With a host in C, TVM does not
    lower its own operator.
    """
    under_c = target.host is not None and target.host.kind.name == "c"
    arm32 = tvm.target.codegen.target_has_features("vfp4", target)
    return has_instruction(target) and not under_c and not arm32


def round_once(mod: tvm.IRModule, target: tvm.target.Target) -> tvm.IRModule:
    """Make all fused multiply-adds of a lowered module round once on the target."""
    if _is_certain(target):
        return mod
    fused, used = has_instruction(target), set()

    def replace(call: Call) -> Expr:
        operands = fma_operands(call)
        if operands is None:
            return call
        dtype = dtype_of(call)
        if fused or not dtype.startswith("float32"):
            return llvm_fma(dtype, operands)
        lanes = tvm.DataType(dtype).lanes
        used.add(lanes)
        return tir.call_pure_extern(dtype, _name(lanes), *operands)

    functions = {
        name: function.with_body(replace_calls(function.body, replace))
        for name, function in mod.functions.items()
        if isinstance(function, tir.PrimFunc)
    }
    if used:  # the import applies to the whole module, whichever function has it
        first = next(iter(functions))
        source = "".join(map(_source, sorted(used)))
        functions[first] = functions[first].with_body(import_llvm(source, functions[first].body))
    return updated(mod, functions)


replace_build("llvm", round_once)
