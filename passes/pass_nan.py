"""Maxima and minima that let NaN pass, in the kernels of TVM's operators.

TVM's ``max(a, b)`` is ``a > b ? a : b``, which yields ``b`` if either operand is NaN: so ``max(x,
0)`` turns NaN into 0. With the constant as the first operand NaN passes, at the same cost. Of two
variables one is checked for NaN. Accumulations are not changed, because the legalization of their
operators handles them. Kernels with lowered nonlinearities are not changed either, because their
formulas rely on the order of the operands. Knows no operator and no graph.
"""

from typing import TypeAlias

import tvm
import tvm_ffi

from quake_tvm.schedules.keep_floats import fenced
from quake_tvm.tvm_version import Pass, dtype_of, tir, updated

from .lower_tir import SITES

Extreme: TypeAlias = tir.Max | tir.Min


def number(value: tir.Expr) -> tir.Expr:
    """Whether a float of any width is not NaN.

    TVM's simplifier takes x == x for true, and its vectorizer splits ``isnan`` into lanes.
    """
    if not dtype_of(value).startswith("float"):  # bfloat16
        value = tir.Cast("float32", value)
    return tir.EQ(fenced(value), value)


def either(extreme: type[Extreme], a: tir.Expr, b: tir.Expr) -> tir.Expr:
    """The extreme of two floats, NaN if either is NaN.

    Of two zeros it is ``a``.

    Parameters
    ----------
    extreme : type
        ``tir.Max`` or ``tir.Min``.
    a, b : Expr
        Floats of one dtype. ``b`` is repeated in the result, so it should be cheap.
    """
    return tir.Select(number(b), extreme(b, a), b)


def passing(node: Extreme) -> tir.Expr:
    """The same extreme, but NaN if either of two floats is NaN. Integers are unchanged."""
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
    """Whether a store computes an element from the element's previous value."""
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
        """Rewrite the kernels. A module without such kernels is unchanged."""
        updates = {}
        for name, function in mod.functions_items():
            if not isinstance(function, tir.PrimFunc) or SITES in (function.attrs or {}):
                continue
            body = tvm_ffi.structural_map(function.body, (tir.BufferStore, _store))
            if not body.same_as(function.body):
                updates[name] = function.with_body(body)
        return updated(mod, updates)
