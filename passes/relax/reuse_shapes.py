"""Make each shape and each size once in a run, where TVM makes it anew for every tensor.

A slot of the shape heap is written once, and before it is read. So calls with equal slots give
equal results. Runs behind VMShapeLower.
"""

import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.tvm_version import Pass, updated

from .graph import functions

_MAKERS = ("vm.builtin.make_shape", "vm.builtin.make_prim_value")


def _makes(value: relax.Expr) -> bool:
    return isinstance(value, relax.Call) and (
        isinstance(value.op, relax.ExternFunc) and value.op.global_symbol in _MAKERS
    )


@mutator
class _Reuser(PyExprMutator):
    def __init__(self, mod: tvm.IRModule) -> None:
        super().__init__(mod)
        self._made: list[tuple[relax.Var, relax.Call]] = []
        self._instead: dict[relax.Var, relax.Var] = {}

    def visit_seq_expr_(self, op: relax.SeqExpr) -> relax.Expr:
        before = list(self._made)  # what one branch makes, the other one does not have
        done = super().visit_seq_expr_(op)
        self._made = before
        return done

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        call = binding.value
        if _makes(call):
            made = (var for var, other in self._made if tvm_ffi.structural_equal(call, other))
            same = next(made, None)
            if same is not None:
                self._instead[binding.var] = same
                return
            self._made.append((binding.var, call))
        super().visit_var_binding_(binding)

    def visit_var_(self, var: relax.Var) -> relax.Expr:
        return super().visit_var_(self._instead.get(var, var))


@tvm.transform.module_pass(opt_level=0, name="ReuseShapes")
class ReuseShapes(Pass):
    """Replace repeated calls. Functions without a shape of symbolic extents are unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions."""
        updates = {name: _Reuser(mod).visit_expr(f) for name, f in functions(mod) if _has_any(f)}
        return updated(mod, updates)


def _has_any(function: relax.Function) -> bool:
    found: list[bool] = []
    relax.analysis.post_order_visit(function, lambda e: found.append(_makes(e)))
    return any(found)
