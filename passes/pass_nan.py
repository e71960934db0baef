"""Maxima and minima that let NaN pass, in the kernels that TVM's operators are made of.

TVM's ``max(a, b)`` is ``a > b ? a : b``, which yields ``b`` where either operand is NaN: so
``max(x, 0)`` turns NaN into 0. With the constant first it costs the same and NaN passes; of two
variables one is checked. Accumulations are left alone: their operators' legalization
decides about them. So are kernels that hold lowered nonlinearities, whose formulas rely on the
order of the operands. Knows no operator and no graph.
"""

import tvm
import tvm_ffi

from quake_tvm.schedules.keep_floats import fenced
from quake_tvm.tvm_version import Pass, dtype_of, tir, updated

from .lower_tir import SITES

Extreme = tir.Max | tir.Min


def number(value: tir.Expr) -> tir.Expr:
    """Whether a float of any width is not NaN.

    TVM's simplifier has x == x for true, and its vectorizer takes ``isnan`` lane by lane.
    """
    if not dtype_of(value).startswith("float"):  # bfloat16
        value = tir.Cast("float32", value)
    return tir.EQ(fenced(value), value)


def either(extreme: type[Extreme], a: tir.Expr, b: tir.Expr) -> tir.Expr:
    """The extreme of two floats, NaN if either is NaN, and a of two zeros; b should be cheap."""
    return tir.Select(number(b), extreme(b, a), b)


def passing(node: Extreme) -> tir.Expr:
    """The same extreme of two floats, NaN if either is NaN; integers' as it is."""
    if "float" not in dtype_of(node) or isinstance(node.a, tir.FloatImm):
        return node
    if isinstance(node.b, tir.FloatImm):
        return type(node)(node.b, node.a)
    kind = dtype_of(node)
    if not kind.startswith("float"):  # bfloat16, which TVM computes in float32 anyway
        wide = (tir.Cast("float32", value) for value in (node.a, node.b))
        return tir.Cast(kind, either(type(node), *wide))
    other = tir.Var("other", kind)
    return tir.Let(other, node.b, either(type(node), node.a, other))


def _accumulates(store: tir.BufferStore) -> bool:
    """Whether an element is computed from its own last value."""
    found: list[bool] = []

    def see(load: tvm.ir.TensorLoad) -> None:
        found.append(load.source.same_as(store.buffer))

    tvm_ffi.structural_walk(store.value, (tvm.ir.TensorLoad, see))
    return any(found)


def _store(node: tir.BufferStore) -> tir.BufferStore:
    if _accumulates(node):
        return node
    value = tvm_ffi.structural_map(node.value, ((tir.Max, tir.Min), passing))
    return node if value.same_as(node.value) else tir.BufferStore(node.buffer, value, node.indices)


@tvm.transform.module_pass(opt_level=0, name="PassNaN")
class PassNaN(Pass):
    """Rewrite the float maxima and minima of every kernel without lowered nonlinearities."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite; a module without them is returned as it is."""
        updates = {}
        for name, function in mod.functions_items():
            if not isinstance(function, tir.PrimFunc) or SITES in (function.attrs or {}):
                continue
            body = tvm_ffi.structural_map(function.body, (tir.BufferStore, _store))
            if not body.same_as(function.body):
                updates[name] = function.with_body(body)
        return updated(mod, updates)
