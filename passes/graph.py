"""A Relax function as a graph: who defines a variable, who uses it, which constants are splats.

The recognisers' common ground: they find :class:`Site` objects, :func:`rewrite` puts the operator
calls in. Knows no operator and no pattern.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator


@dataclass(frozen=True)
class Site:
    """A place where an operator of the registry is computed.

    Attributes
    ----------
    var : relax.Var
        The variable bound to the operator's result.
    operator : str
        The registry's name.
    args : tuple of relax.Expr
        The operator's tensor inputs.
    attributes : dict
        Parameters, ``axis``, ``scale`` and so on.
    source : str
        What it was recognised from, for the report.
    region : frozenset of relax.Var
        Every variable whose binding the operator replaces, ``var`` included.
    """

    var: relax.Var
    operator: str
    args: tuple[relax.Expr, ...]
    source: str
    region: frozenset[relax.Var]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def dtype(self) -> str:
        return str(self.args[0].ty.dtype)


def op_name(expr: Any) -> str:
    """``relax.exp`` and the like for a call of an operator, else the empty string."""
    if isinstance(expr, relax.Call) and isinstance(expr.op, tvm.ir.Op):
        return expr.op.name
    return ""


class Graph:
    """Definitions and uses within one function, branches included."""

    def __init__(self, function: relax.Function) -> None:
        self.values: dict[relax.Var, relax.Expr] = {}
        self.users: dict[relax.Var, list[relax.Var | None]] = {}
        self._visit(function.body)

    def _visit(self, body: relax.Expr) -> None:
        blocks = body.blocks if isinstance(body, relax.SeqExpr) else []
        for block in blocks:
            for binding in block.bindings:
                self._bind(binding)
        self._use(body.body if isinstance(body, relax.SeqExpr) else body, None)

    def _bind(self, binding: relax.Binding) -> None:
        value = binding.value
        if isinstance(value, relax.If):
            self._use(value.cond, None)
            self._visit(value.true_branch)
            self._visit(value.false_branch)
        elif isinstance(value, relax.Function):
            self._visit(value.body)
        else:
            if isinstance(binding, relax.VarBinding):
                self.values[binding.var] = value
                self._use(value, binding.var)
            else:
                self._use(value, None)

    def _use(self, expr: relax.Expr, user: relax.Var | None) -> None:
        for var in relax.analysis.free_vars(expr):
            self.users.setdefault(var, []).append(user)

    def value(self, expr: relax.Expr) -> relax.Expr:
        """What a variable is bound to, through plain renamings; ``expr`` itself otherwise."""
        while isinstance(expr, relax.Var) and expr in self.values:
            expr = self.values[expr]
        return expr

    def only_used_by(self, var: relax.Var, region: set[relax.Var]) -> bool:
        """Whether every use of ``var`` lies in ``region``."""
        return all(user in region for user in self.users.get(var, []) if user is not var)

    def owned(self, root: relax.Var, region: frozenset[relax.Var]) -> set[relax.Var]:
        """``root`` and what of ``region`` leads to nothing else."""
        owned = {root}
        while new := {v for v in region - owned if self.only_used_by(v, owned)}:
            owned |= new
        return owned

    def scalar(self, expr: relax.Expr) -> float | None:
        """The value of a constant whose elements are all equal, else None."""
        expr = self.value(expr)
        if not isinstance(expr, tvm.ir.GenericConst):
            return None
        data = expr.value.numpy()
        if data.size == 0 or data.dtype.kind not in "fiu" or not np.all(data == data.flat[0]):
            return None
        return float(data.flat[0])


def functions(mod: tvm.IRModule) -> Iterator[tuple[tvm.ir.GlobalVar, relax.Function]]:
    """The module's Relax functions."""
    for name, function in mod.functions_items():
        if isinstance(function, relax.Function):
            yield name, function


def known_shape(expr: relax.Expr) -> bool:
    """Whether this is a tensor with every extent given, symbolic ones included."""
    return isinstance(expr.ty, relax.TensorType) and isinstance(expr.ty.shape, relax.ShapeExpr)


def same_shape(a: relax.Expr, b: relax.Expr) -> bool:
    """Whether both are tensors of one known shape."""
    if not (known_shape(a) and known_shape(b)):
        return False
    left, right = list(a.ty.shape), list(b.ty.shape)
    return len(left) == len(right) and all(map(tvm_ffi.structural_equal, left, right))


@mutator
class _Rewriter(PyExprMutator):
    def __init__(self, mod: tvm.IRModule, calls: dict[relax.Var, relax.Call], dead: set) -> None:
        super().__init__(mod)
        self.calls, self.dead = calls, dead

    def visit_var_binding_(self, binding: relax.VarBinding) -> None:
        if binding.var in self.calls:
            call = self.builder_.normalize(self.calls[binding.var])
            self.builder_.emit_normalized(relax.VarBinding(binding.var, call))
        elif binding.var not in self.dead:
            super().visit_var_binding_(binding)


def rewrite(
    mod: tvm.IRModule,
    find: Callable[[Graph], list[Site]],
    make: Callable[[Site], relax.Call | None],
) -> tvm.IRModule:
    """Replace every site that ``find`` reports and ``make`` gives a call for.

    Bindings that only the replaced sites used go; nothing else changes, and a module without
    sites is returned as it is.
    """
    updates = {}
    for name, function in functions(mod):
        graph = Graph(function)
        calls: dict[relax.Var, relax.Call] = {}
        region: set[relax.Var] = set()
        for site in find(graph):
            call = make(site)
            if call is not None:
                calls[site.var] = call
                region |= site.region - {site.var}
        if calls:
            dead = _dead(graph, region, calls)
            updates[name] = _Rewriter(mod, calls, dead).visit_expr(function)
    if not updates:
        return mod
    mod = tvm.IRModule(mod.functions, attrs=mod.attrs, global_infos=mod.global_infos)
    for name, function in updates.items():
        mod.update_func(name, function)
    return mod


def _dead(graph: Graph, region: set[relax.Var], calls: dict[relax.Var, relax.Call]) -> set:
    """The variables of ``region`` that nobody needs once ``calls`` stand."""
    needed = {arg for call in calls.values() for arg in call.args if isinstance(arg, relax.Var)}
    dead: set[relax.Var] = set()
    while True:
        found = {
            var
            for var in region - dead - needed - calls.keys()
            if all(user in dead or user in calls for user in graph.users.get(var, []))
        }
        if not found:
            return dead
        dead |= found
