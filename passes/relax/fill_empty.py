"""Replace operators on tensors without elements, so that no kernel has to handle these.

A result without elements is only allocated. A product that sums over no elements becomes zeros. A
mean of no elements becomes NaN. A scatter without indices becomes its data. TVM's kernels and the
schedule rules divide by extents, TVM refuses slices without elements, and the virtual machine
cannot load a constant without elements. Memory needs no kernel. Knows no importer.
"""

import math

import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.kernels.size_check import HELD
from quake_tvm.tvm_version import Pass, updated

from .graph import functions, known_shape, op_name

_SCATTERS = {"relax.scatter_nd", "relax.scatter_elements", "relax.index_put"}
_MEANS = {"relax.mean", "relax.variance", "relax.std"}


def _extents(expr: relax.Expr) -> list[int | None]:
    """The extents, None for symbolic ones. Empty for a tensor of unknown shape."""
    return [getattr(n, "value", None) for n in expr.ty.shape] if known_shape(expr) else []


def _no_elements(expr: relax.Expr) -> bool:
    return isinstance(expr.ty, relax.TensorType) and 0 in _extents(expr)


def _over_nothing(value: relax.Expr) -> bool:
    """Whether this is a product whose sums have no terms."""
    return (
        op_name(value) == "relax.matmul"
        and _extents(value.args[0])[-1:] == [0]
        and known_shape(value)
    )


def _mean_of_nothing(value: relax.Expr) -> bool:
    """Whether these are means, or variances, of no floats."""
    kinds = op_name(value) in _MEANS and _no_elements(value.args[0]) and known_shape(value)
    return kinds and "float" in str(value.ty.dtype)


def _at_nothing(value: relax.Expr) -> bool:
    """Whether this is a scatter without indices."""
    if op_name(value) not in _SCATTERS:
        return False
    index = value.args[1]
    return any(map(_no_elements, index if isinstance(index, relax.Tuple) else [index]))


def _memory(expr: relax.Expr) -> relax.Call:
    shape = relax.ShapeExpr(list(expr.ty.shape))
    return relax.op.builtin.alloc_tensor(shape, str(expr.ty.dtype), 0)


_REPLACED = (_no_elements, _over_nothing, _mean_of_nothing, _at_nothing)


@mutator
class _Filler(PyExprMutator):
    def visit_generic_const_(self, op: tvm.ir.GenericConst) -> relax.Expr:
        return self.builder_.emit(_memory(op)) if _no_elements(op) else op

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        value = binding.value
        operator = op_name(value)
        computed = (operator and operator != HELD) or isinstance(value, relax.TupleGetItem)
        if computed and _no_elements(binding.var):
            made = _memory(binding.var)
        elif _over_nothing(value):
            made = relax.op.zeros(relax.ShapeExpr(list(value.ty.shape)), str(value.ty.dtype))
        elif _mean_of_nothing(value):
            nan = relax.const(math.nan, str(value.ty.dtype))
            made = relax.op.broadcast_to(nan, relax.ShapeExpr(list(value.ty.shape)))
        elif _at_nothing(value):
            made = self.visit_expr(value.args[0])
        else:
            super().visit_var_binding_(binding)
            return
        self.builder_.emit_normalized(relax.VarBinding(binding.var, self.builder_.normalize(made)))


def _concerned(function: relax.Function) -> bool:
    """Whether the function has anything to replace. Most modules have nothing."""
    found = []

    def visit(expr: relax.Expr) -> None:
        if isinstance(expr, relax.Call | relax.TupleGetItem | tvm.ir.GenericConst):
            found.append(any(each(expr) for each in _REPLACED))

    relax.analysis.post_order_visit(function, visit)
    return any(found)


@tvm.transform.module_pass(opt_level=0, name="FillEmpty")
class FillEmpty(Pass):
    """Replace such operators. A module without them is unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the functions."""
        updates = {
            name: _Filler(mod).visit_expr(function)
            for name, function in functions(mod)
            if _concerned(function)
        }
        return updated(mod, updates)
