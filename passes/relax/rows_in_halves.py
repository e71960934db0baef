"""Give operators over rows their operands and results in half precision.

Their kernels widen what they read and narrow what they store. So casts around an operator, as of a
model's inputs and outputs, need no kernels and no tensors of their own. Knows no formula.
"""

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.numerics.number_formats import COMPUTED, HALVES
from quake_tvm.numerics.operators import OPERATORS
from quake_tvm.tvm_version import Pass

from .graph import Graph, dtype, functions, op_name
from .ops import operator_of


def _over_rows(expr: relax.Expr | None) -> bool:
    name = operator_of(expr)
    return name is not None and not OPERATORS[name].elementwise


def _half_of(value: relax.Expr, graph: Graph) -> relax.Expr | None:
    """What a float32 is the widened value of, if that is in half precision."""
    call = graph.value(value)
    widens = op_name(call) == "relax.astype" and dtype(call) == COMPUTED
    return call.args[0] if widens and dtype(call.args[0]) in HALVES else None


@mutator
class _Narrower(PyExprMutator):
    """Rewrites one function."""

    def __init__(self, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod)
        self.graph = Graph(function)

    def visit_call_(self, call: relax.Call) -> relax.Expr:
        """Replace a cast of an operator's result."""
        if op_name(call) != "relax.astype" or str(call.attrs.dtype) not in HALVES:
            return super().visit_call_(call)
        (result,) = call.args
        operator = self.graph.value(result)
        if not _over_rows(operator) or len(self.graph.users[result]) > 1:
            return super().visit_call_(call)
        x, *more = operator.args
        half = _half_of(x, self.graph)
        if half is None or dtype(half) != str(call.attrs.dtype):
            return super().visit_call_(call)
        args = [self.visit_expr(arg) for arg in (half, *more)]
        return relax.Call(operator.op, args, operator.attrs)


@tvm.transform.module_pass(opt_level=0, name="RowsInHalves")
class RowsInHalves(Pass):
    """Rewrite operators over rows that stand between two casts. Runs after recognition."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions. Nothing else is changed, but for bindings that nothing uses."""
        changed = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
        for name, function in functions(mod):
            found = _Narrower(mod, function).visit_expr(function)
            if not found.same_as(function):
                changed.update_func(name, relax.analysis.remove_all_unused(found))
        return changed
