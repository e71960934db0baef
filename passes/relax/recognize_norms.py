"""Find composed norms.

layer_norm is (x - mean)/sqrt(mean((x - mean)^2) + epsilon) * gamma + beta, and rms_norm is
x/sqrt(mean(x^2) + epsilon) * gamma. ONNX models before operator set 17, and most language models,
contain these forms. Only norms along the last axis are found, with one gamma and one beta for each
element of a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import tvm
import tvm_ffi
from tvm import relax

from quake_tvm.tvm_version import Pass

from ..graph import Site
from .graph import Graph, known_shape, op_name, rewrite, same_shape


@dataclass(frozen=True)
class _Normal:
    """x with mean square 1: of x, or of its differences from the mean if ``centered``."""

    x: relax.Expr
    epsilon: float
    centered: bool
    steps: list[relax.Expr]

    def site(self, operator: str, more: list[relax.Expr], *weights: relax.Expr) -> Site:
        """The norm that ends with these further steps, of which the first is its result."""
        region = frozenset(e for e in (*more, *self.steps) if isinstance(e, relax.Var))
        attributes = {"epsilon": self.epsilon}
        return Site(more[0], operator, (self.x, *weights), operator, region, attributes)


def _call(graph: Graph, expr: relax.Expr, name: str) -> relax.Call | None:
    call = graph.value(expr)
    return call if op_name(call) == f"relax.{name}" else None


def _orders(graph: Graph, expr: relax.Expr, name: str) -> Iterator[list[relax.Expr]]:
    """The operands of a call of this operator in both orders; nothing for other expressions."""
    call = _call(graph, expr, name)
    if call is not None:
        yield list(call.args)
        yield list(call.args)[::-1]


def _mean(graph: Graph, expr: relax.Expr) -> relax.Expr | None:
    """The operand if ``expr`` is a mean along the last axis that keeps the axis, else None."""
    call = _call(graph, expr, "mean")
    if call is None or not call.attrs.keepdims or call.attrs.axis is None:
        return None
    (x,), rank = call.args, call.args[0].ty.ndim
    return x if [int(a) % rank for a in call.attrs.axis] == [rank - 1] else None


def _square(graph: Graph, expr: relax.Expr) -> relax.Expr | None:
    """The operand if ``expr`` is a square, else None."""
    power, product = _call(graph, expr, "power"), _call(graph, expr, "multiply")
    if power is not None and graph.scalar(power.args[1]) == 2.0:
        return power.args[0]
    if product is not None and product.args[0].same_as(product.args[1]):
        return product.args[0]
    return None


def _divided(graph: Graph, expr: relax.Expr) -> tuple[relax.Expr, relax.Expr, list] | None:
    """(x, v, variables in between) if ``expr`` is x/sqrt(v) in one of its forms."""
    divide = _call(graph, expr, "divide")
    if divide is not None:
        root = _call(graph, divide.args[1], "sqrt")
        return None if root is None else (divide.args[0], root.args[0], [expr, divide.args[1]])
    for x, inverse in _orders(graph, expr, "multiply"):
        found = _inverse_root(graph, inverse)
        if found is not None:
            v, between = found
            return x, v, [expr, *between]
    return None


def _inverse_root(graph: Graph, expr: relax.Expr) -> tuple[relax.Expr, list] | None:
    """(v, variables in between) if ``expr`` is 1/sqrt(v)."""
    inverse, power = _call(graph, expr, "rsqrt"), _call(graph, expr, "power")
    if inverse is not None:
        return inverse.args[0], [expr]
    if power is not None and graph.scalar(power.args[1]) == -0.5:
        return power.args[0], [expr]
    one = _call(graph, expr, "divide")
    if one is None or graph.scalar(one.args[0]) != 1.0:
        return None
    root = _call(graph, one.args[1], "sqrt")
    return None if root is None else (root.args[0], [expr, one.args[1]])


def _normalized(graph: Graph, expr: relax.Expr) -> _Normal | None:
    """The normal that ``expr`` is, before gamma."""
    divided = _divided(graph, expr)
    if divided is None:
        return None
    over, guarded, between = divided
    for variance, epsilon in _orders(graph, guarded, "add"):
        squares, small = _mean(graph, variance), graph.scalar(epsilon)
        square = None if squares is None else _square(graph, squares)
        if square is None or small is None or not square.same_as(over):
            continue
        steps = [*between, guarded, variance, squares]
        subtract = _call(graph, over, "subtract")
        if subtract is not None:
            x, mean = subtract.args
            of = _mean(graph, mean)
            if of is not None and of.same_as(x):
                return _Normal(x, small, True, [*steps, over, mean])
        return _Normal(over, small, False, steps)
    return None


def _one_each(weights: relax.Expr, x: relax.Expr) -> bool:
    """Whether ``weights`` have one number for each element of a row of x."""
    if not known_shape(weights) or weights.ty.ndim != 1:
        return False
    return tvm_ffi.structural_equal(weights.ty.shape[0], x.ty.shape[-1])


def _gammas(graph: Graph, expr: relax.Expr) -> Iterator[tuple[_Normal, relax.Expr]]:
    """The normal and gamma, if ``expr`` is their product."""
    for normal, gamma in _orders(graph, expr, "multiply"):
        found = _normalized(graph, normal)
        if found is not None and same_shape(found.x, expr) and _one_each(gamma, found.x):
            yield found, gamma


def _layer_norm(graph: Graph, var: relax.Var) -> Site | None:
    for scaled, beta in _orders(graph, var, "add"):
        for normal, gamma in _gammas(graph, scaled):
            if normal.centered and _one_each(beta, normal.x):
                return normal.site("layer_norm", [var, scaled], gamma, beta)
    return None


def _rms_norm(graph: Graph, var: relax.Var) -> Site | None:
    for normal, gamma in _gammas(graph, var):
        if not normal.centered:
            return normal.site("rms_norm", [var], gamma)
    return None


def find(graph: Graph) -> list[Site]:
    """Every norm of a function."""
    found = (form(graph, var) for var in graph.values for form in (_layer_norm, _rms_norm))
    return [site for site in found if site is not None]


@tvm.transform.module_pass(opt_level=0, name="RecognizeNorms")
class RecognizeNorms(Pass):
    """Replace each by TVM's own layer_norm or rms_norm."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the norms. A module without any is unchanged."""
        return rewrite(
            mod,
            find,
            lambda site: getattr(relax.op.nn, site.operator)(
                *site.args, axes=[-1], epsilon=site.attributes["epsilon"]
            ),
        )
