"""Move transposes in front of pads, where they meet and cancel those before.

TVM's ConvertLayout does not move a transpose over a pad. Knows no convolution.
"""

from typing import Any

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass, updated

from .graph import functions, op_name


@mutator
class _Lift(PyExprMutator):
    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Rewrite a transpose of a pad or of a transpose."""
        call = super().visit_call_(call)
        if op_name(call) != "relax.permute_dims":
            return call
        inner, order = self._value(call.args[0]), _order(call)
        if op_name(inner) == "relax.permute_dims":
            return self._turned(call.args[0], order)
        if op_name(inner) != "relax.nn.pad":
            return call
        turned = self._turned(inner.args[0], order)
        if not isinstance(turned, relax.Var):
            turned = self.builder_.emit(turned)
        width = [int(n) for n in inner.attrs.pad_width]
        moved = [n for axis in order for n in width[2 * axis : 2 * axis + 2]]
        return relax.op.nn.pad(turned, moved, inner.attrs.pad_mode, inner.attrs.pad_value)

    def _turned(self, x: relax.Expr, order: list[int]) -> relax.Expr:
        """A transpose, merged with the one that x may be."""
        before = self._value(x)
        if op_name(before) == "relax.permute_dims":
            x, order = before.args[0], [_order(before)[axis] for axis in order]
        if order == sorted(order):
            return x
        return relax.op.permute_dims(x, order)

    def _value(self, expr: relax.Expr) -> Any:
        return self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr


def _order(transpose: relax.Call) -> list[int]:
    """The axes of the operand in their new order."""
    rank = transpose.args[0].ty.ndim
    axes = transpose.attrs.axes
    return list(range(rank))[::-1] if axes is None else [int(axis) % rank for axis in axes]


@tvm.transform.module_pass(opt_level=0, name="LiftTransposes")
class LiftTransposes(Pass):
    """Exchange every transpose with the pad before it, and merge transposes of transposes."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite all functions. Bindings that are no longer used are removed."""
        updates = {
            name: relax.analysis.remove_all_unused(_Lift(mod).visit_expr(function))
            for name, function in functions(mod)
        }
        return updated(mod, updates)
