"""The report on a Relax module, read from the module itself.

Lowered PrimFuncs carry their sites with their numbers, and kernels carry the numbers of the sites
in them. What the recognisers still find in the graph was left exact. Knows no pass's inner workings
beyond those marks.
"""

import tvm
from tvm import relax

from ...options import RECORDED, Options
from ...report import BY_RULE, TABLE, ExactSite, LoweredSite, Report
from ...schedules import RECORD, RULE
from ...schedules.versions import VERSIONS
from ...tvm_version import tir
from .. import lower_tir
from ..quake import find_sites
from . import lower, site_numbers
from .graph import Graph, functions, op_name, shape_text

# Exponentials that the registry has no operator for.
UNKNOWN = {"relax.sinh", "relax.cosh"}


def report(
    lowered: tvm.IRModule, options: Options, scheduled: tvm.IRModule | None = None
) -> Report:
    """The report on a module.

    Parameters
    ----------
    lowered : IRModule
        The module after its nonlinearities were lowered.
    options : Options
        The options it was lowered with. They give the reasons why sites are exact.
    scheduled : IRModule, optional
        The same module after fusion and scheduling. It gives the kernels.
    """
    kernels, records, versions = {}, {}, {}
    places: dict[int, list[str]] = {}
    for name, function in scheduled.functions_items() if scheduled else ():
        if isinstance(function, tir.PrimFunc):
            kernels[name.name_hint] = str(function.attrs.get(RULE, "none"))
            records[name.name_hint] = str(function.attrs.get(RECORD, BY_RULE))
            versions[name.name_hint] = int(function.attrs.get(VERSIONS, 1))
            for number in site_numbers.read(function):
                places.setdefault(number, []).append(name.name_hint)
    sites: list[LoweredSite] = []
    exact: list[ExactSite] = []
    for _, function in functions(lowered):
        graph = Graph(function)
        for value in graph.values.values():
            if op_name(value) == "relax.call_tir":
                sites += [
                    _lowered(site, places, shape_text(value), options, kernels, records, versions)
                    for site in lower_tir.sites_of(lowered[value.args[0]])
                ]
                exact += _exact_in_kernel(lowered, value, options)
            elif op_name(value) in lower.HIDING:
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
    site: dict,
    places: dict[int, list[str]],
    shape: str,
    options: Options,
    kernels: dict[str, str],
    records: dict[str, str],
    versions: dict[str, int],
) -> LoweredSite:
    """The report's entry for a lowered site.

    The site is in no kernel if TVM has evaluated it at compile time, or if its result is not used.
    It is in several kernels if several calls share its PrimFunc.
    """
    found = places.get(site.get("site", 0), [])
    rule = ", ".join(dict.fromkeys(kernels[kernel] for kernel in found))
    record = "; ".join(dict.fromkeys(records[kernel] for kernel in found)) or BY_RULE
    operator, of_shape = site["operator"], site.get("shape", "?")
    looked_up = operator != TABLE and options.choose(operator, shape=of_shape).reason == RECORDED
    told = f"{record}; {RECORDED}" if looked_up else record
    most = max((versions[kernel] for kernel in found), default=1)
    return LoweredSite.of(site, ", ".join(found), rule, shape, told, most)


def _exact_in_kernel(mod: tvm.IRModule, call: relax.Call, options: Options) -> list[ExactSite]:
    function, shape = mod[call.args[0]], shape_text(call)
    if not isinstance(function, tir.PrimFunc):
        return []
    return [
        ExactSite.of(operator, shape, dtype, options, "vector code in a PrimFunc")
        for operator, dtype in dict.fromkeys(lower_tir.intrinsics(function))
    ]
