"""The report on a Relay module, read from the module itself.

Lowered sites are calls of the ``quake`` operators. What the recognisers still find was left exact.
The kernel of a site is read from the module after operator fusion.
"""

import tvm
from tvm import relay

from ...numerics.operators import OPERATORS
from ...options import Options
from ...report import TABLE, ExactSite, Kernels, LoweredSite, Report
from ..quake import find_sites
from .decided import APPROXIMATIONS
from .graph import Graph, functions, has_mark, op_name, shape_text
from .ops import attributes_of, operator_of
from .table_ops import is_table, mark

# Exponentials that no recogniser looks for, with the reason.
UNKNOWN = dict.fromkeys(("sinh", "cosh"), "no such operator here") | dict.fromkeys(
    APPROXIMATIONS, "TVM's own approximation"
)


def report(lowered: tvm.IRModule, options: Options) -> Report:
    """The report on a module.

    Parameters
    ----------
    lowered : IRModule
        The module after its nonlinearities were lowered and its types inferred.
    options : Options
        The options it was lowered with. They give the reasons why sites are exact.
    """
    sites: list[LoweredSite] = []
    exact: list[ExactSite] = []
    for _, function in functions(lowered):
        graph = Graph(function)
        for value in graph.values.values():
            operator, name = operator_of(value), op_name(value)
            if operator is not None:
                sites.append(LoweredSite.of(attributes_of(value).mark(operator)))
            elif is_table(value):
                sites.append(LoweredSite.of(mark(value)))
            elif name in UNKNOWN:
                x = value.args[0]
                exact.append(ExactSite(name, shape_text(x), x.checked_type.dtype, UNKNOWN[name]))
        for site in find_sites(graph):
            x = site.args[0]
            exact.append(ExactSite.of(site.operator, shape_text(x), x.checked_type.dtype, options))
    return Report(sites, exact, plan=str(options.plan or ""))


def kernels_of(fused: tvm.IRModule) -> Kernels:
    """The kernels of lowered sites after operator fusion, by operator, shape and source.

    Kernels have the names that TVM will give them. The rule is that of the operator that schedules
    the kernel.
    """
    found: Kernels = {}
    for _, function in functions(fused):
        nodes: list[relay.Expr] = []
        relay.analysis.post_order_visit(function, nodes.append)
        for node in nodes:  # calls are visited in the order of the sites, functions are not
            if isinstance(node, relay.Call) and has_mark(node.op, "Primitive"):
                _read_kernel(node.op, found)
    return found


def _read_kernel(kernel: relay.Function, found: Kernels) -> None:
    calls: list[relay.Call] = []
    relay.analysis.post_order_visit(kernel.body, lambda e: calls.append(e) if op_name(e) else None)
    name = "_".join(["fused", *(op_name(call).replace(".", "_") for call in calls)])
    anchors = [
        op_name(c)
        for c in calls
        if (c.op.get_attr("TOpPattern") or 0) > relay.op.OpPattern.INJECTIVE
    ]
    for call in calls:
        operator = operator_of(call)
        if operator is not None:
            rows = not OPERATORS[operator].elementwise
            rule = "rows" if rows else anchors[0] if anchors else "injective"
            attributes = attributes_of(call)
            kind = operator, attributes.shape or "?", attributes.source
            found.setdefault(kind, []).append((name, rule))
        elif is_table(call):
            told = mark(call)
            kind = TABLE, told["shape"], told["source"]
            found.setdefault(kind, []).append((name, anchors[0] if anchors else "injective"))
