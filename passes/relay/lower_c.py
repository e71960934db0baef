"""Rewrite kernels so that TVM's C code generator can print them.

The generator prints the text of a ``let``'s value wherever its variable occurs, and seven digits of
a constant. It prints ``reinterpret`` as a pointer cast that C forbids, and fails on ``fma`` and
infinities. It takes an operand of ``max`` for unchanged if its text is unchanged, even after a
store. So each ``let`` becomes a statement. The other operations become calls of small inline
functions, which every compiler folds into the corresponding instructions.

Runs wherever TVM generates C, with or without our ``PassContext``, and changes only kernels that
contain bit manipulation or an infinity. Knows no operator and no schedule.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import tir

from quake_tvm.errors import QuakeError
from quake_tvm.tvm_version import PREFIX, fma_operands, register_op, replace_build, updated

# A select by bits and a conversion that is defined for every float have no branch and no trap, so
# compilers can vectorize the loop. fma rounds once. On CPUs without the instruction it is computed
# as in single_rounding, since the fmaf of some C libraries is wrong.
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
#if defined FP_FAST_FMAF || defined __FMA__ || defined __ARM_FEATURE_FMA
  return fmaf(a, b, c);
#else
  const double product = (double)a * b, total = product + c, part = total - product;
  const double error = (product - (total - part)) + (c - part);
  int64_t bits, away;
  memcpy(&bits, &total, 8);
  memcpy(&away, &error, 8);
  away = (int64_t)((uint64_t)bits + (uint64_t)((bits ^ away) >> 63)) | 1;
  bits = error < 0 || error > 0 ? away : bits;
  double odd;
  memcpy(&odd, &bits, 8);
  return (float)odd;
#endif
}
"""


def _function(name: str, dtype: str = "float32") -> Callable[..., tir.Call]:
    """A function that makes calls of one of the C functions above."""
    op = register_op(f"{PREFIX}quake_{name}", f"quake_{name} in C")
    if op.get_attr("TGlobalSymbol") is None:
        tvm.ir.register_op_attr(op.name, "TGlobalSymbol", f"quake_{name}")
    return lambda *args: tir.Call(dtype, op, args)


_float, _fma = _function("float"), _function("fma")
_bits, _shift, _int = (_function(name, "int32") for name in ("bits", "shift", "int"))
_select = _function("select")
_EXTREMES = {tir.Max: _function("max"), tir.Min: _function("min")}

# Puts a statement that an expression needs in front of the statement that contains it.
Step = Callable[[tir.Stmt], tir.Stmt]


def lower(function: tir.PrimFunc) -> tir.PrimFunc:
    """A function in the form that the C code generator can print."""
    transform = tir.stmt_functor.ir_transform
    body = transform(function.body, None, _hoist_from, ["tir.BufferStore", "tir.LetStmt"])
    kinds = ["tir.Call", "tir.Cast", "tir.Max", "tir.Min", "tir.Select", "IntImm", "FloatImm"]
    return function.with_body(transform(body, None, _spell, kinds))


def _is_beyond(function: tir.PrimFunc) -> bool:
    """Whether a function contains anything that the generator cannot print."""
    found: list[bool] = []

    def see(node: tvm.runtime.Object) -> None:
        if isinstance(node, tir.Call):
            found.append(_is_ours(node))
        elif isinstance(node, tir.FloatImm):
            found.append(not np.isfinite(node.value))

    tir.stmt_functor.post_order_visit(function.body, see)
    return any(found)


def _is_ours(call: tir.Call) -> bool:
    if _calls(call, "reinterpret"):
        return call.dtype.startswith("float") or call.args[0].dtype.startswith("float")
    return fma_operands(call) is not None


def _calls(call: tir.Call, name: str) -> bool:
    return isinstance(call.op, tvm.ir.Op) and call.op.name == PREFIX + name


def _spell(node: tir.PrimExpr) -> tir.PrimExpr | None:
    """The replacement of one node, None if TVM prints it correctly."""
    if isinstance(node, tir.IntImm):
        # In C the smallest int32 is the negation of a wider number.
        return ~tir.IntImm("int32", 2**31 - 1) if node.value == -(2**31) else None
    if isinstance(node, tir.FloatImm):
        value = np.float32(node.value)
        exact = np.isfinite(value) and np.float32(f"{node.value:e}") == value
        if exact or (node.dtype != "float32" and np.isfinite(node.value)):
            return None
        spelled = _float(tir.IntImm("int32", int(value.view("int32"))))
        return spelled if node.dtype == "float32" else tir.Cast(node.dtype, spelled)
    if isinstance(node, tir.Max | tir.Min):
        return _EXTREMES[type(node)](node.a, node.b) if node.dtype == "float32" else None
    if isinstance(node, tir.Select):
        chosen = node.condition, node.true_value, node.false_value
        return _select(*chosen) if node.dtype == "float32" else None
    if isinstance(node, tir.Cast):
        converted = (node.value.dtype, node.dtype) == ("float32", "int32")
        return _int(node.value) if converted else None
    operands = fma_operands(node) if isinstance(node, tir.Call) else None
    if operands is not None:
        return _fma(*operands)
    if _calls(node, "shift_left") and node.dtype == "int32":
        return _shift(*node.args)
    if _calls(node, "reinterpret") and node.dtype in ("int32", "float32"):
        return (_bits if node.dtype == "int32" else _float)(*node.args)
    return None


def _hoist_from(statement: tir.BufferStore | tir.LetStmt) -> tir.Stmt:
    """The statement with the lets of its value as statements in front of it."""
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
    """The expression without lets. The statements that replace them are appended to ``steps``."""

    def before(node: tir.PrimExpr) -> tir.PrimExpr | None:
        if isinstance(node, tir.Let):
            # A copied loop body has the same variables, but C allows only one definition of each.
            var = tir.Var(node.var.name, node.var.dtype)
            value = _hoist(node.value, steps)
            steps.append(lambda rest: tir.LetStmt(var, value, rest))
            body = tir.stmt_functor.substitute(tir.Evaluate(node.body), {node.var: var})
            return _hoist(body.value, steps)
        if _calls(node, "if_then_else"):
            return _branch(node, steps)
        return None

    kinds = ["tir.Let", "tir.Call"]
    return tir.stmt_functor.ir_transform(tir.Evaluate(expr), before, None, kinds).value


def _branch(node: tir.Call, steps: list[Step]) -> tir.PrimExpr:
    """An if_then_else, as a statement if one of its branches has lets.

    A let of one branch may read memory that only this branch may read.
    """
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
        lambda rest: tir.Allocate(found.data, found.dtype, [1], true, tir.SeqStmt([choice, rest]))
    )
    return found[0]


def lower_module(mod: tvm.IRModule) -> tvm.IRModule:
    """A module in the form that the C code generator can print.

    Raises
    ------
    QuakeError
        If the module has vectors and a kernel with bit manipulation.
    """
    ours = [name for name, function in mod.functions.items() if _is_beyond(function)]
    if not ours:
        return mod
    _refuse_vectors(mod)
    lowered = {name: lower(mod[name]) for name in ours}
    # The source is printed before all functions, whichever of them carries it.
    first, source = lowered[ours[0]], tir.StringImm(SOURCE)
    body = tir.AttrStmt(source, "pragma_import_c", source, first.body)
    lowered[ours[0]] = first.with_body(body)
    return updated(mod, lowered)


def _refuse_vectors(mod: tvm.IRModule) -> None:
    vectors: list[Any] = []

    def see(node: Any) -> None:
        if isinstance(node, tir.Ramp | tir.Broadcast):
            vectors.append(node)

    for name, function in mod.functions.items():
        tir.stmt_functor.post_order_visit(function.body, see)
        if vectors:
            raise QuakeError(
                f"C has no vectors, kernel {name.name_hint} has: build inside "
                "quake_tvm.PassContext, or with config={'tir.disable_vectorize': True}"
            )


def install() -> None:
    """Prepare every module that TVM generates C for, in all builds from now on."""
    replace_build("c", lambda mod, _: lower_module(mod))
