"""Read a Relax function into a :class:`Graph`, and insert operator calls into it.

Knows no operator and no pattern.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator

from quake_tvm.kernels.extent_size import extent_size
from quake_tvm.tvm_version import tir, updated

from .. import graph
from ..graph import Shape, Site


def op_name(expr: Any) -> str:
    """The operator's full name, for example ``relax.exp``. Empty if ``expr`` is no call of one."""
    if isinstance(expr, relax.Call) and isinstance(expr.op, tvm.ir.Op):
        return expr.op.name
    return ""


def with_attributes(attributes: tvm.ir.Attrs, **changed: Any) -> tvm.ir.Attrs:
    """An operator's attributes with some of them changed."""
    info = type(attributes).__tvm_ffi_type_info__
    values = {field.name: getattr(attributes, field.name) for field in info.fields or ()}
    return tvm.ir.make_node(info.type_key, **{**values, **changed})


@dataclass(frozen=True)
class Extent:
    """A symbolic extent. Extents of equal structure are equal."""

    expr: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extent) and tvm_ffi.structural_equal(self.expr, other.expr)

    def __hash__(self) -> int:
        return tvm_ffi.structural_hash(self.expr)


class Graph(graph.Graph):
    """The graph of a Relax function. The keys are variables."""

    def __init__(self, function: relax.Function) -> None:
        super().__init__()
        # Caches, because recognisers ask often and TVM's bindings are slow.
        self._kinds: dict[relax.Expr, str] = {}
        self._shapes: dict[relax.Expr, Shape | None] = {}
        self._scalars: dict[relax.Expr, float | None] = {}
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

    def kind(self, expr: relax.Expr) -> str:
        """The operator's name without ``relax.``."""
        if expr not in self._kinds:
            self._kinds[expr] = op_name(expr).removeprefix("relax.")
        return self._kinds[expr]

    def limits(self, call: relax.Expr) -> tuple[float, float] | None:
        """The limits, read from the operands after the tensor."""
        low, high = (getattr(limit, "value", None) for limit in call.args[1:])
        return None if low is None or high is None else (float(low), float(high))

    def scalar(self, expr: relax.Expr) -> float | None:
        """The value of a constant whose elements are equal, cached."""
        if expr not in self._scalars:
            self._scalars[expr] = super().scalar(expr)
        return self._scalars[expr]

    def shape(self, expr: relax.Expr) -> Shape | None:
        """Integers, and symbolic extents that compare by structure."""
        if expr not in self._shapes:
            extents = expr.ty.shape if known_shape(expr) else None
            self._shapes[expr] = (
                None
                if extents is None
                else tuple(n.value if isinstance(n, tir.IntImm) else Extent(n) for n in extents)
            )
        return self._shapes[expr]

    def dtype(self, expr: relax.Expr) -> str:
        """The dtype, read from the type."""
        return dtype(expr)

    def constant(self, expr: relax.Expr) -> np.ndarray | None:
        """The value of one of the module's constants."""
        return expr.value.numpy() if isinstance(expr, tvm.ir.GenericConst) else None


def dtype(expr: relax.Expr) -> str:
    """The dtype of a tensor."""
    return str(expr.ty.dtype)


def astype(expr: relax.Expr, dtype: str) -> relax.Expr:
    """A cast of a tensor."""
    return relax.op.astype(expr, dtype)


def shape_text(expr: relax.Expr) -> str:
    """The shape of a tensor as text for the report: ``1x128xn``."""
    return extents_text(expr.ty.shape) if known_shape(expr) else "?"


def extents_text(extents: Iterable[Any]) -> str:
    """Extents as text, in the same form. Computed ones stand in brackets."""
    texts = [str(extent_size(n)) for n in extents]
    return "x".join(t if t.isidentifier() or t.isdigit() else f"({t})" for t in texts) or "scalar"


def functions(mod: tvm.IRModule) -> Iterator[tuple[tvm.ir.GlobalVar, relax.Function]]:
    """The module's Relax functions."""
    for name, function in mod.functions_items():
        if isinstance(function, relax.Function):
            yield name, function


def kernel_calls(function: relax.Function) -> list[relax.Call]:
    """The calls of PrimFuncs in a function."""
    found = []

    def visit(node: relax.Expr) -> None:
        if op_name(node) == "relax.call_tir":
            found.append(node)

    relax.analysis.post_order_visit(function, visit)
    return found


def known_shape(expr: relax.Expr) -> bool:
    """Whether this is a tensor whose extents are all given, symbolic ones included."""
    return isinstance(expr.ty, relax.TensorType) and isinstance(expr.ty.shape, relax.ShapeExpr)


def same_shape(a: relax.Expr, b: relax.Expr) -> bool:
    """Whether both are tensors of the same known shape."""
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
    """Replace every site for which ``make`` returns a call.

    Bindings that only the replaced sites used are removed. Nothing else is changed.

    Parameters
    ----------
    mod : IRModule
    find : callable
        Takes the graph of a function and returns its sites.
    make : callable
        Takes a site and returns the call for it, or None to leave it.

    Returns
    -------
    IRModule
        The module itself if nothing was replaced.
    """
    updates = {}
    for name, function in functions(mod):
        graph = Graph(function)
        calls, dead = graph.replacements(find(graph), make)
        if calls:
            updates[name] = _Rewriter(mod, calls, dead).visit_expr(function)
    return updated(mod, updates)
