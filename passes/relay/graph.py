"""Read a Relay function into a :class:`Graph`, and insert operator calls into it.

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
    """The operator's name, for example ``exp``. Empty if ``expr`` is no call of an operator."""
    if isinstance(expr, relay.Call) and isinstance(expr.op, tvm.ir.Op):
        return expr.op.name
    return ""


class Graph(graph.Graph):
    """The graph of a Relay function whose types are inferred."""

    def __init__(self, function: relay.Function) -> None:
        super().__init__()
        self._shapes: dict[relay.Expr, Shape | None] = {}
        # Caches, because recognisers ask often and each answer takes calls through ctypes.
        self._kinds: dict[relay.Expr, str] = {}
        self._scalars: dict[relay.Expr, float | None] = {}
        order = _visited(function.body)
        lets = {e.var: e.value for e in order if isinstance(e, relay.Let)}
        # A computed value's key is its variable. A renaming computes nothing.
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
        """The limits, read from the attributes."""
        return float(call.attrs.a_min), float(call.attrs.a_max)

    def scalar(self, expr: relay.Expr) -> float | None:
        """The value of a constant whose elements are equal, also behind a cast, cached."""
        if expr not in self._scalars:
            value = self.value(expr)
            if self.kind(value) == "cast":
                number = self.scalar(value.args[0])
                found = None if number is None else float(np.array(number).astype(dtype(value)))
            else:
                found = super().scalar(expr)
            self._scalars[expr] = found
        return self._scalars[expr]

    def shape(self, expr: relay.Expr) -> Shape | None:
        """Integers, and a symbol for each unknown extent.

        Extents known to be equal share a symbol.
        """
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
        args = [self.shape(a) for a in expr.args] if is_step(expr) and None in extents else []

        def symbol(place: int) -> object:
            """The only unknown extent that broadcasting can have put here, else a new symbol."""
            met = {s[place] for s in args if s is not None and -place <= len(s)} - {1}
            return met.pop() if len(met) == 1 and None not in args else object()

        rank = len(extents)
        return tuple(symbol(k - rank) if n is None else n for k, n in enumerate(extents))

    def dtype(self, expr: relay.Expr) -> str:
        """The dtype, read from the type."""
        return dtype(expr)

    def constant(self, expr: relay.Expr) -> np.ndarray | None:
        """The value of one of the function's constants."""
        return expr.data.numpy() if isinstance(expr, relay.Constant) else None


def mark_by_element(name: str) -> None:
    """Note that the attributes of this operator hold for every element of any tensor."""
    tvm.ir.register_op_attr(name, _BY_ELEMENT, True)


# Attributes of other operators are an axis, a shape or a diagonal.
_BY_ELEMENT = "quake_by_element"
for _name in ("cast", "clip", "nn.leaky_relu"):
    mark_by_element(_name)


def is_step(expr: relay.Expr) -> bool:
    """Whether this operator computes each element from those that broadcasting puts there."""
    pattern = expr.op.get_attr("TOpPattern") if op_name(expr) else None
    if pattern is None or pattern > relay.op.OpPattern.BROADCAST:
        return False
    return expr.attrs is None or expr.op.get_attr(_BY_ELEMENT) is not None


# Expressions without a computation.
_ATOMS = (relay.Var, relay.Constant, relay.GlobalVar, tvm.ir.Op)
# Attributes of functions that other compilers take. Their patterns must stay unchanged.
_FOREIGN = ("Compiler", "Composite")


def has_mark(expr: relay.Expr, *names: str) -> bool:
    """Whether ``expr`` is a function with one of these attributes."""
    if not isinstance(expr, relay.Function) or not expr.attrs:
        return False
    return not set(names).isdisjoint(dict(expr.attrs))


def _visited(body: relay.Expr) -> list[relay.Expr]:
    """All expressions of a body in post-order, without those of other compilers' functions."""
    order: list[relay.Expr] = []
    relay.analysis.post_order_visit(body, order.append)
    foreign: set[relay.Expr] = set()
    for function in (e for e in order if has_mark(e, *_FOREIGN)):
        relay.analysis.post_order_visit(function.body, foreign.add)
    return [expr for expr in order if expr not in foreign]


def _operands(expr: relay.Expr) -> list[relay.Expr]:
    """The expressions that ``expr`` uses directly."""
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


def astype(expr: relay.Expr, dtype: str) -> relay.Expr:
    """A cast of a tensor."""
    return relay.cast(expr, dtype)


def shape_text(expr: relay.Expr) -> str:
    """The shape of a tensor as text for the report: ``1x128x?``."""
    extents = getattr(expr.checked_type, "shape", None)
    if extents is None:
        return "?"
    return "x".join(str(getattr(n, "value", "?")) for n in extents) or "scalar"


def functions(mod: tvm.IRModule) -> Iterator[tuple[tvm.ir.GlobalVar, relay.Function]]:
    """The module's Relay functions that TVM itself compiles."""
    for name, function in mod.functions.items():
        if isinstance(function, relay.Function) and not has_mark(function, *_FOREIGN):
            yield name, function


class Mutator(relay.ExprMutator):
    """Leaves functions unchanged that other compilers take."""

    def visit_function(self, function: relay.Function) -> relay.Function:
        """Change no parameter, since none is changed by any mutator."""
        return function if has_mark(function, *_FOREIGN) else super().visit_function(function)


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
    """The function after a mutator.

    The expressions are visited in post-order first, so that the recursion does not get as deep as
    the function.
    """
    relay.analysis.post_order_visit(function, mutator.visit)
    return mutator.visit(function)


def rewrite(
    mod: tvm.IRModule,
    find: Callable[[Graph], list[Site]],
    make: Callable[[Site], relay.Call | None],
) -> tvm.IRModule:
    """Replace every site for which ``make`` returns a call, and infer types.

    Bindings that only the replaced sites used are removed. Nothing else is changed.

    Parameters
    ----------
    mod : IRModule
    find : callable
        Takes the graph of a function and returns its sites.
    make : callable
        Takes a site and returns the call for it, or None to leave it.
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
