"""What TVM's C code generator cannot write down, said so that it can.

It prints a ``let`` as text wherever its variable stands, seven digits of a constant, ``reinterpret``
as a pointer cast that C forbids, ``fma`` not at all, and takes an operand of ``max`` for unchanged
while its text is, even after a store. So ``let`` becomes a statement, the others calls of small
inline functions that every compiler folds into the instructions they stand for.

Runs wherever TVM generates C, with or without our ``PassContext``, and touches only kernels that
hold bit manipulation. Knows no operator and no schedule.
"""

from collections.abc import Callable

import numpy as np
import tvm
from tvm import tir

from quake_tvm.errors import QuakeError
from quake_tvm.generation import PREFIX, register_op, updated, visit_calls

# A choice by its bits, and a conversion that is defined for every float, leave no branch and nothing
# that traps: compilers can vectorize the loop. fma rounds once where the hardware does, as on every
# other target.
SOURCE = """
#include <math.h>
#include <stdint.h>
#include <string.h>
static inline float quake_float(int32_t i) { float f; memcpy(&f, &i, 4); return f; }
static inline int32_t quake_bits(float f) { int32_t i; memcpy(&i, &f, 4); return i; }
static inline int32_t quake_shift(int32_t i, int32_t n) { return (int32_t)((uint32_t)i << n); }
static inline int32_t quake_int(float x) {
  const float low = -0x1p31f, high = 0x1.fffffep30f;
  x = x > low ? x : low;
  return (int32_t)(x < high ? x : high);
}
static inline float quake_select(int32_t chosen, float a, float b) {
  return quake_float((quake_bits(a) & -chosen) | (quake_bits(b) & ~-chosen));
}
static inline float quake_max(float a, float b) { return a > b ? a : b; }
static inline float quake_min(float a, float b) { return a < b ? a : b; }
static inline float quake_fma(float a, float b, float c) {
#ifdef FP_FAST_FMAF
  return fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
"""


def _function(name: str, dtype: str = "float32") -> Callable[..., tir.Call]:
    """Calls of one of the functions above."""
    op = register_op(f"{PREFIX}quake_{name}", f"quake_{name} in C")
    if op.get_attr("TGlobalSymbol") is None:
        tvm.ir.register_op_attr(op.name, "TGlobalSymbol", f"quake_{name}")
    return lambda *args: tir.Call(dtype, op, args)


_float, _fma = _function("float"), _function("fma")
_bits, _shift, _int = (_function(name, "int32") for name in ("bits", "shift", "int"))
_select = _function("select")
_EXTREMES = {tir.Max: _function("max"), tir.Min: _function("min")}
# fma as LLVM has it: TVM lowers intrinsics for the host, C, also where LLVM compiles the kernel.
_LLVM_CALL = PREFIX + "call_llvm_pure_intrin"
_LLVM_FMA = tvm.target.codegen.llvm_lookup_intrinsic_id("llvm.fmuladd")
# Puts what an expression needs in front of the statement that it stands in.
Step = Callable[[tir.Stmt], tir.Stmt]


def lower(function: tir.PrimFunc) -> tir.PrimFunc:
    """A function ready for the C code generator.

    Raises
    ------
    QuakeError
        Where its bit manipulation is in vectors already.
    """
    ours: list[tir.Call] = []
    visit_calls(function.body, lambda call: ours.append(call) if _is_ours(call) else None)
    if not ours:
        return function
    if any(tvm.DataType(call.dtype).lanes > 1 for call in ours):
        raise QuakeError(
            f"kernel {function.attrs['global_symbol']} has vectors, C has none: build inside "
            "quake_tvm.PassContext, or with config={'tir.disable_vectorize': True}"
        )
    transform = tir.stmt_functor.ir_transform
    body = transform(function.body, None, _hoist_from, ["tir.BufferStore", "tir.LetStmt"])
    kinds = ["tir.Call", "tir.Cast", "tir.Max", "tir.Min", "tir.Select", "IntImm", "FloatImm"]
    body = transform(body, None, _spell, kinds)
    return function.with_body(body)


def _is_ours(call: tir.Call) -> bool:
    if isinstance(call.op, tvm.ir.Op) and call.op.name == PREFIX + "reinterpret":
        return call.dtype.startswith("float") or call.args[0].dtype.startswith("float")
    return _is_fma(call)


def _is_fma(call: tir.Call) -> bool:
    llvm = isinstance(call.op, tvm.ir.Op) and call.op.name == _LLVM_CALL
    return llvm and call.args[0].value == _LLVM_FMA


def _spell(node: tir.PrimExpr) -> tir.PrimExpr | None:
    """One node in C's words; None if TVM's will do."""
    if isinstance(node, tir.IntImm):
        # C reads the smallest int32 as a wider number's negative.
        return ~tir.IntImm("int32", 2**31 - 1) if node.value == -(2**31) else None
    if isinstance(node, tir.FloatImm):
        value = np.float32(node.value)
        exact = np.isfinite(value) and np.float32(f"{node.value:e}") == value
        if node.dtype != "float32" or exact:
            return None
        return _float(tir.IntImm("int32", int(value.view("int32"))))
    if isinstance(node, tir.Max | tir.Min):
        return _EXTREMES[type(node)](node.a, node.b) if node.dtype == "float32" else None
    if isinstance(node, tir.Select):
        chosen = node.condition, node.true_value, node.false_value
        return _select(*chosen) if node.dtype == "float32" else None
    if isinstance(node, tir.Cast):
        converted = (node.value.dtype, node.dtype) == ("float32", "int32")
        return _int(node.value) if converted else None
    if _is_fma(node):
        return _fma(*node.args[2:])
    if not isinstance(node.op, tvm.ir.Op):
        return None
    if node.op.name == PREFIX + "shift_left" and node.dtype == "int32":
        return _shift(*node.args)
    if node.op.name == PREFIX + "reinterpret" and node.dtype in ("int32", "float32"):
        return (_bits if node.dtype == "int32" else _float)(*node.args)
    return None


def _hoist_from(statement: tir.BufferStore | tir.LetStmt) -> tir.Stmt:
    """The statement with the lets of its value in front of it."""
    steps: list[Step] = []
    value = _hoist(statement.value, steps)
    if isinstance(statement, tir.LetStmt):
        statement = tir.LetStmt(statement.var, value, statement.body)
    else:
        statement = tir.BufferStore(statement.buffer, value, statement.indices)
    return _around(steps, statement)


def _around(steps: list[Step], statement: tir.Stmt) -> tir.Stmt:
    for step in reversed(steps):
        statement = step(statement)
    return statement


def _hoist(expr: tir.PrimExpr, steps: list[Step]) -> tir.PrimExpr:
    """The expression without lets; they are added to ``steps``."""

    def before(node: tir.PrimExpr) -> tir.PrimExpr | None:
        if isinstance(node, tir.Let):
            # A copy of a loop's body has the same variables, but C wants each made once.
            var = tir.Var(node.var.name, node.var.dtype)
            value = _hoist(node.value, steps)
            steps.append(lambda rest: tir.LetStmt(var, value, rest))
            body = tir.stmt_functor.substitute(tir.Evaluate(node.body), {node.var: var})
            return _hoist(body.value, steps)
        if isinstance(node.op, tvm.ir.Op) and node.op.name == PREFIX + "if_then_else":
            return _branch(node, steps)
        return None

    kinds = ["tir.Let", "tir.Call"]
    return tir.stmt_functor.ir_transform(tir.Evaluate(expr), before, None, kinds).value


def _branch(node: tir.Call, steps: list[Step]) -> tir.PrimExpr:
    """A choice, as a statement where a branch has lets: they may read what only it may read."""
    condition, *branches = node.args
    condition = _hoist(condition, steps)
    inner: list[list[Step]] = [[], []]
    values = [_hoist(branch, its) for branch, its in zip(branches, inner, strict=True)]
    if not any(inner):
        return tir.Call(node.dtype, node.op, [condition, *values])
    found = tir.decl_buffer((1,), node.dtype, "chosen", scope="global")
    stores = (
        _around(its, tir.BufferStore(found, value, [0]))
        for value, its in zip(values, inner, strict=True)
    )
    choice = tir.IfThenElse(condition, *stores)
    true = tir.const(True, "bool")
    steps.append(
        lambda rest: tir.Allocate(
            found.data, found.dtype, [1], true, tir.SeqStmt([choice, rest])
        )
    )
    return found[0]


def _with_source(function: tir.PrimFunc) -> tir.PrimFunc:
    source = tir.StringImm(SOURCE)
    return function.with_body(tir.AttrStmt(source, "pragma_import_c", source, function.body))


def _register() -> None:
    """Stand in front of TVM's C code generator: no pass of a build runs as late in every build."""
    generate = tvm.get_global_func("target.build.c")

    @tvm.ir.register_intrin_lowering(PREFIX + "fma", target="c")
    def fma(call: tir.Call) -> tir.Call:
        count = tir.const(len(call.args), "uint32")
        return tir.call_llvm_pure_intrin(call.dtype, "llvm.fmuladd", count, *call.args)

    @tvm.register_func("target.build.c", override=True)
    def build(mod: tvm.IRModule, target: tvm.target.Target) -> tvm.runtime.Module:
        functions = {
            name: lowered
            for name, function in mod.functions.items()
            if not (lowered := lower(function)).same_as(function)
        }
        for name in list(functions)[:1]:  # stands before all functions, whichever brings it
            functions[name] = _with_source(functions[name])
        return generate(updated(mod, functions), target)


_register()
