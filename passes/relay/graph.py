"""A Relay function as a :class:`Graph`, and operator calls put into it.

A value's key is its call, or the variable that a ``let`` binds it to. Knows no operator and no
pattern.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tvm
from tvm import relay, tir

from quake_tvm.tvm_version import updated

from .. import graph
from ..graph import Shape, Site


def op_name(expr: Any) -> str:
    """``exp`` and the like for a call of an operator, else the empty string."""
    if isinstance(expr, relay.Call) and isinstance(expr.op, tvm.ir.Op):
        return expr.op.name
    return ""


class Graph(graph.Graph):
    """A Relay function whose types are inferred."""

    def __init__(self, function: relay.Function) -> None:
        super().__init__()
        self._shapes: dict[relay.Expr, Shape | None] = {}
        # What recognisers ask for again and again, each time through ctypes.
        self._kinds: dict[relay.Expr, str] = {}
        self._scalars: dict[relay.Expr, float | None] = {}
        order = _visited(function.body)
        lets = {e.var: e.value for e in order if isinstance(e, relay.Let)}
        # What computes something is known by its variable; a renaming is no computation.
        names = {value: var for var, value in lets.items() if not isinstance(value, _ATOMS)}
        for expr in order:  # definitions before uses
            if isinstance(lets.get(expr), _ATOMS):
                self.values[expr] = lets[expr]
            elif isinstance(expr, relay.Call) or expr in names:
                self.values[names.get(expr, expr)] = expr
            user = names.get(expr, expr if isinstance(expr, relay.Call) else None)
            for arg in _operands(expr):
                self.users.setdefault(arg, []).append(user)
        for var, value in lets.items():
            if names.get(value, value) != var:
                self.users.setdefault(names.get(value, value), []).append(var)
        self.users.setdefault(function.body, []).append(None)

    def kind(self, expr: relay.Expr) -> str:
        """The operator's name."""
        if expr not in self._kinds:
            self._kinds[expr] = op_name(expr)
        return self._kinds[expr]

    def limits(self, call: relay.Expr) -> tuple[float, float]:
        """From the attributes."""
        return float(call.attrs.a_min), float(call.attrs.a_max)

    def scalar(self, expr: relay.Expr) -> float | None:
        """From the function's constants."""
        if expr not in self._scalars:
            self._scalars[expr] = super().scalar(expr)
        return self._scalars[expr]

    def shape(self, expr: relay.Expr) -> Shape | None:
        """Numbers; of unknown extents, the same symbol where they are known to be the same."""
        if expr not in self._shapes:
            self._shapes[expr] = self._infer(expr)
        return self._shapes[expr]

    def _infer(self, expr: relay.Expr) -> Shape | None:
        value = self.values.get(expr)
        if value is not None and value is not expr:
            return self.shape(value)
        if not isinstance(expr.checked_type, relay.TensorType):
            return None
        extents = [int(n) if isinstance(n, tir.IntImm) else None for n in expr.checked_type.shape]
        args = [self.shape(a) for a in expr.args] if _spreads(expr) and None in extents else []

        def symbol(place: int) -> object:
            """The one unknown extent that broadcasting can have put here, else a new one."""
            met = {s[place] for s in args if s is not None and -place <= len(s)} - {1}
            return met.pop() if len(met) == 1 and None not in args else object()

        rank = len(extents)
        return tuple(symbol(k - rank) if n is None else n for k, n in enumerate(extents))

    def dtype(self, expr: relay.Expr) -> str:
        """From the type."""
        return dtype(expr)

    def constant(self, expr: relay.Expr) -> np.ndarray | None:
        """From the function's constants."""
        return expr.data.numpy() if isinstance(expr, relay.Constant) else None


def _spreads(expr: relay.Expr) -> bool:
    """Whether this is an operator that broadcasts its operands and does nothing else to shapes."""
    pattern = expr.op.get_attr("TOpPattern") if op_name(expr) else None
    return pattern is not None and pattern <= relay.op.OpPattern.BROADCAST


# Expressions that compute nothing.
_ATOMS = (relay.Var, relay.Constant, relay.GlobalVar, tvm.ir.Op)
# What is another compiler's: its patterns must stay as they are.
_FOREIGN = ("Compiler", "Composite")


def has_mark(expr: relay.Expr, *names: str) -> bool:
    """Whether ``expr`` is a function with one of these attributes."""
    if not isinstance(expr, relay.Function) or not expr.attrs:
        return False
    return not set(names).isdisjoint(dict(expr.attrs))


def _visited(body: relay.Expr) -> list[relay.Expr]:
    """What is computed in a body, in the order of a visit, except other compilers' functions."""
    order: list[relay.Expr] = []
    relay.analysis.post_order_visit(body, order.append)
    foreign: set[relay.Expr] = set()
    for function in (e for e in order if has_mark(e, *_FOREIGN)):
        relay.analysis.post_order_visit(function.body, foreign.add)
    return [expr for expr in order if expr not in foreign]


def _operands(expr: relay.Expr) -> list[relay.Expr]:
    """The expressions whose values ``expr`` uses itself."""
    if isinstance(expr, relay.Call):
        operator = [] if isinstance(expr.op, tvm.ir.Op) else [expr.op]
        return [*expr.args, *operator]
    if isinstance(expr, relay.Tuple):
        return list(expr.fields)
    if isinstance(expr, relay.TupleGetItem):
        return [expr.tuple_value]
    if isinstance(expr, relay.If):
        return [expr.cond, expr.true_branch, expr.false_branch]
    if isinstance(expr, relay.Let):
        return [expr.body]
    if isinstance(expr, relay.Function):
        return [expr.body]
    if isinstance(expr, relay.Match):
        return [expr.data, *(clause.rhs for clause in expr.clauses)]
    return []


def dtype(expr: relay.Expr) -> str:
    """The dtype of a tensor."""
    return expr.checked_type.dtype


def shape_text(expr: relay.Expr) -> str:
    """The shape of a tensor for people: ``1x128x?``."""
    extents = getattr(expr.checked_type, "shape", None)
    if extents is None:
        return "?"
    return "x".join(str(getattr(n, "value", "?")) for n in extents) or "scalar"


def functions(mod: tvm.IRModule) -> Iterator[tuple[tvm.ir.GlobalVar, relay.Function]]:
    """The module's Relay functions that are TVM's own to compile."""
    for name, function in mod.functions.items():
        if isinstance(function, relay.Function) and not has_mark(function, *_FOREIGN):
            yield name, function


class _Rewriter(relay.ExprMutator):
    def __init__(self, calls: dict[relay.Expr, relay.Call], dead: set[relay.Expr]) -> None:
        super().__init__()
        self.calls, self.dead = calls, dead

    def visit_call(self, call: relay.Call) -> relay.Expr:
        return super().visit_call(self.calls.get(call, call))

    def visit_let(self, let: relay.Let) -> relay.Expr:
        if let.var in self.dead:
            return self.visit(let.body)
        return super().visit_let(let)


def mutated(function: relay.Function, mutator: relay.ExprMutator) -> relay.Function:
    """What the mutator makes of the function, without recursion as deep as the function is."""
    relay.analysis.post_order_visit(function, mutator.visit)
    return mutator.visit(function)


def rewrite(
    mod: tvm.IRModule,
    find: Callable[[Graph], list[Site]],
    make: Callable[[Site], relay.Call | None],
) -> tvm.IRModule:
    """Replace every site that ``find`` reports and ``make`` gives a call for.

    Bindings that only the replaced sites used go; nothing else changes, and a module without
    sites is returned as it is.
    """
    mod = relay.transform.InferType()(mod)
    updates = {}
    for name, function in functions(mod):
        graph = Graph(function)
        calls, dead = graph.replacements(find(graph), make)
        if calls:
            calls = {graph.values[key]: call for key, call in calls.items()}
            updates[name] = mutated(function, _Rewriter(calls, dead))
    return relay.transform.InferType()(updated(mod, updates))
