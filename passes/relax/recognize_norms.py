"""Find composed layer_norms: (x - mean)/sqrt(mean((x - mean)^2) + epsilon) * gamma + beta.

ONNX models before operator set 17 contain this form. Only norms along the last axis are found, with
one gamma and one beta for each element of a row.
"""

import tvm
import tvm_ffi
from tvm import relax

from quake_tvm.tvm_version import Pass

from ..graph import Site
from .graph import Graph, known_shape, op_name, rewrite, same_shape


def _call(graph: Graph, expr: relax.Expr, name: str) -> relax.Call | None:
    call = graph.value(expr)
    return call if op_name(call) == f"relax.{name}" else None


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


def _normalized(
    graph: Graph, expr: relax.Expr
) -> tuple[relax.Expr, float, list[relax.Expr]] | None:
    """(x, epsilon, variables in between) if ``expr`` is x normalized to mean 0 and variance 1."""
    divide = _call(graph, expr, "divide")
    if divide is None:
        return None
    centered, deviation = divide.args
    root, subtract = _call(graph, deviation, "sqrt"), _call(graph, centered, "subtract")
    if root is None or subtract is None:
        return None
    add = _call(graph, root.args[0], "add")
    if add is None:
        return None
    x, mean = subtract.args
    for variance, epsilon in (add.args, reversed(add.args)):
        squares, small = _mean(graph, variance), graph.scalar(epsilon)
        if squares is None or small is None:
            continue
        square, of = _square(graph, squares), _mean(graph, mean)
        if square is not None and square.same_as(centered) and of is not None and of.same_as(x):
            return x, small, [expr, centered, deviation, root.args[0], variance, squares, mean]
    return None


def _one_each(weights: relax.Expr, x: relax.Expr) -> bool:
    """Whether ``weights`` have one number for each element of a row of x."""
    if not known_shape(weights) or weights.ty.ndim != 1:
        return False
    return tvm_ffi.structural_equal(weights.ty.shape[0], x.ty.shape[-1])


def find(graph: Graph) -> list[Site]:
    """Every layer_norm of a function."""
    sites = []
    for var, value in graph.values.items():
        if op_name(value) != "relax.add":
            continue
        for scaled, beta in (value.args, reversed(list(value.args))):
            product = _call(graph, scaled, "multiply")
            if product is None:
                continue
            for normal, gamma in (product.args, reversed(list(product.args))):
                found = _normalized(graph, normal)
                if found is None or not same_shape(found[0], var):
                    continue
                x, epsilon, seen = found
                if not (_one_each(gamma, x) and _one_each(beta, x)):
                    continue
                region = frozenset([var, scaled, *(v for v in seen if isinstance(v, relax.Var))])
                attributes = {"epsilon": epsilon}
                sites.append(
                    Site(var, "layer_norm", (x, gamma, beta), "layer_norm", region, attributes)
                )
    return sites


@tvm.transform.module_pass(opt_level=0, name="RecognizeNorms")
class RecognizeNorms(Pass):
    """Replace each by TVM's own layer_norm."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the norms. A module without any is unchanged."""
        return rewrite(
            mod,
            find,
            lambda site: relax.op.nn.layer_norm(
                *site.args, axes=[-1], epsilon=site.attributes["epsilon"]
            ),
        )
