"""Correct log(sum(exp(x - m))) + m, with m = max(x), for rows that contain an infinity.

There inf - inf is NaN, but any finite m gives the right result: inf if the row has an inf, -inf if
it has only -inf. So m is clipped to finite numbers. The pass handles the expressions that the
recognisers have left. Knows the form, not what exp is made of.
"""

import tvm
from tvm import relax

from quake_tvm.tvm_version import Pass, tir

from ..graph import Expr, Site
from .graph import Graph, dtype, rewrite


def _centers(graph: Graph, top: Expr) -> bool:
    """Whether a maximum is used only by the difference and the sum of one such expression."""
    uses = [graph.value(user) for user in graph.users.get(top, []) if user is not None]
    if len(uses) != 2 or len(uses) != len(graph.users[top]):
        return False
    difference, total = sorted(uses, key=graph.kind, reverse=True)
    if (graph.kind(difference), graph.kind(total)) != ("subtract", "add"):
        return False
    if difference.args != [graph.value(top).args[0], top]:
        return False
    logs = [arg for arg in total.args if graph.kind(graph.value(arg)) == "log"]
    return len(logs) == 1 and _leads(graph, difference, logs[0])


def _leads(graph: Graph, start: Expr, end: Expr) -> bool:
    """Whether ``end`` is computed from ``start``, and no step in between is used elsewhere."""
    value = graph.value(end)
    while isinstance(value, relax.Call) and len(graph.users[end]) == 1:
        if value.same_as(start):
            return True
        end = value.args[0]
        value = graph.value(end)
    return False


def _find(graph: Graph) -> list[Site]:
    return [
        Site(var, "max", (call,), "max", frozenset([var]))
        for var, call in graph.values.items()
        if graph.kind(call) == "max" and "float" in dtype(var) and _centers(graph, var)
    ]


def _clipped(site: Site) -> relax.Expr:
    (top,) = site.args
    kind = dtype(site.var)
    return relax.op.clip(top, tir.min_value(kind).value, tir.max_value(kind).value)


@tvm.transform.module_pass(opt_level=0, name="CenterLogSumExp")
class CenterLogSumExp(Pass):
    """Clip these maxima. A module without them is unchanged."""

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        """Rewrite the maxima."""
        return rewrite(mod, _find, _clipped)
