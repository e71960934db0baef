"""The report on a Relax module, read from the module itself.

Lowered PrimFuncs carry their sites; whatever is still to be recognised in the graph was left exact.
Knows no pass's inner workings beyond those marks.
"""

import tvm
from tvm import relax

from .generation import tir
from .options import RECORDED, Options
from .passes import lower_relax, lower_tir
from .passes.quake import find_sites
from .passes.relax_graph import Graph, functions, op_name, shape_text
from .report import BY_RULE, ExactSite, LoweredSite, Report
from .schedules import RECORD, RULE

# Exponentials that the registry has no operator for.
UNKNOWN = {"relax.sinh", "relax.cosh"}


def report(
    lowered: tvm.IRModule, options: Options, scheduled: tvm.IRModule | None = None
) -> Report:
    """The report on a module.

    Parameters
    ----------
    lowered : IRModule
        With its nonlinearities lowered.
    options : Options
        Those it was lowered with: they give the reasons.
    scheduled : IRModule, optional
        The same after fusion and scheduling, for the kernels.
    """
    kernels, records = {}, {}
    for name, function in scheduled.functions_items() if scheduled else ():
        if isinstance(function, tir.PrimFunc):
            kernels[name.name_hint] = str(function.attrs.get(RULE, "none"))
            records[name.name_hint] = str(function.attrs.get(RECORD, BY_RULE))
    sites: list[LoweredSite] = []
    exact: list[ExactSite] = []
    for _, function in functions(lowered):
        graph = Graph(function)
        for value in graph.values.values():
            if op_name(value) == "relax.call_tir":
                sites += _lowered(lowered, value, options, kernels, records)
                exact += _exact_in_kernel(lowered, value, options)
            elif op_name(value) in lower_relax.HIDING:
                exact.append(_exact("exp", value.args[0], options))
            elif op_name(value) in UNKNOWN:
                name, x = op_name(value).removeprefix("relax."), value.args[0]
                reason = "no such operator here"
                exact.append(ExactSite(name, shape_text(x), str(x.ty.dtype), reason))
        exact += [_exact(site.operator, site.args[0], options) for site in find_sites(graph)]
    return Report(sites, exact, kernels, records, str(options.plan or ""))


def _exact(operator: str, x: relax.Expr, options: Options) -> ExactSite:
    return ExactSite.of(operator, shape_text(x), str(x.ty.dtype), options)


def _lowered(
    mod: tvm.IRModule,
    call: relax.Call,
    options: Options,
    kernels: dict[str, str],
    records: dict[str, str],
) -> list[LoweredSite]:
    name, shape = call.args[0].name_hint, shape_text(call)
    kernel = next((k for k in kernels if name in k.split("fused_")[-1]), name)
    rule, record = kernels.get(kernel, ""), records.get(kernel, BY_RULE)
    sites = []
    for site in lower_tir.sites_of(mod[call.args[0]]):
        chosen = options.choose(site["operator"], shape=site.get("shape", "?"))
        told = f"{record}; {RECORDED}" if chosen.reason == RECORDED else record
        sites.append(LoweredSite.of(site, kernel, rule, shape, told))
    return sites


def _exact_in_kernel(mod: tvm.IRModule, call: relax.Call, options: Options) -> list[ExactSite]:
    function, shape = mod[call.args[0]], shape_text(call)
    if not isinstance(function, tir.PrimFunc):
        return []
    return [
        ExactSite.of(operator, shape, dtype, options, "vector code in a PrimFunc")
        for operator, dtype in dict.fromkeys(lower_tir.intrinsics(function))
    ]
