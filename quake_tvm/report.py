"""What became of every nonlinearity of a module, and which rule scheduled each kernel.

Read from the modules themselves: lowered PrimFuncs carry their sites, whatever is still to be
recognised in the graph was left exact. Knows no pass's inner workings beyond those marks.
"""

import io
import json
from collections import Counter
from dataclasses import asdict, dataclass, field

import tvm
from rich.console import Console
from rich.table import Table
from tvm import relax

from .generation import tir
from .operators import Bound, bound
from .options import Options
from .passes import lower_relax, lower_tir
from .passes.graph import Graph, functions, op_name
from .passes.quake import find_sites
from .schedules import RULE


@dataclass(frozen=True)
class LoweredSite:
    """One lowered nonlinearity."""

    operator: str
    shape: str
    method: str
    special_values: str
    relative: float
    absolute: float
    source: str
    kernel: str
    schedule: str


@dataclass(frozen=True)
class ExactSite:
    """One exponential left as TVM computes it, and why."""

    operator: str
    shape: str
    dtype: str
    reason: str


@dataclass(frozen=True)
class Report:
    """Every site of a compiled module; ``print`` it, or take the lists.

    Attributes
    ----------
    sites : list of LoweredSite
    exact : list of ExactSite
    kernels : dict
        Scheduled PrimFunc to the rule that scheduled it.
    """

    sites: list[LoweredSite] = field(default_factory=list)
    exact: list[ExactSite] = field(default_factory=list)
    kernels: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The whole report as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Report":
        """Inverse of :meth:`to_json`."""
        raw = json.loads(text)
        return Report(
            [LoweredSite(**row) for row in raw["sites"]],
            [ExactSite(**row) for row in raw["exact"]],
            raw["kernels"],
        )

    def __str__(self) -> str:
        console = Console(width=140, record=True, file=io.StringIO())
        table = Table(title=f"{len(self.sites)} lowered")
        for name in ("n", "operator", "shape", "rung", "error bound", "from", "kernel", "schedule"):
            table.add_column(name, overflow="fold")
        counted = Counter(self.sites)
        for site, count in counted.items():
            error = f"{site.relative:.3g}" + (f" + {site.absolute:.2g}" if site.absolute else "")
            table.add_row(
                str(count), site.operator, site.shape, site.method, error, site.source,
                site.kernel, site.schedule,
            )  # fmt: skip
        console.print(table)
        if self.exact:
            table = Table(title=f"{len(self.exact)} left exact")
            for name in ("n", "operator", "shape", "dtype", "reason"):
                table.add_column(name)
            for site, count in Counter(self.exact).items():
                table.add_row(str(count), site.operator, site.shape, site.dtype, site.reason)
            console.print(table)
        for line in self._schedules():
            console.print(line, soft_wrap=True)
        return console.export_text().rstrip()

    def _schedules(self) -> list[str]:
        """Kernels by rule, and which of them no rule was made for."""
        if not self.kernels:
            return []
        counted = Counter(self.kernels.values()).most_common()
        lines = ["kernels: " + ", ".join(f"{count} {rule}" for rule, count in counted)]
        for rule, words in (("fallback", "parallel and in vectors"), ("none", "not scheduled")):
            names = [name for name, own in self.kernels.items() if own == rule]
            if names:
                lines.append(f"no rule of their own, {words}: {', '.join(names)}")
        return lines


def _shape(ty: relax.Type) -> str:
    if not isinstance(ty, relax.TensorType) or ty.shape is None:
        return "?"
    return "x".join(str(getattr(n, "value", n)) for n in ty.shape) or "scalar"


def _sites_of(function: tir.PrimFunc) -> list[dict]:
    text = function.attrs.get(lower_relax.SITES) if function.attrs else None
    return json.loads(str(text)) if text else []


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
    kernels = {}
    for name, function in scheduled.functions_items() if scheduled else ():
        if isinstance(function, tir.PrimFunc):
            kernels[name.name_hint] = str(function.attrs.get(RULE, "none"))
    sites: list[LoweredSite] = []
    exact: list[ExactSite] = []
    for _, function in functions(lowered):
        graph = Graph(function)
        for value in graph.values.values():
            if op_name(value) == "relax.call_tir":
                sites += _lowered(lowered, value, kernels)
                exact += _exact_in_kernel(lowered, value, options)
            elif op_name(value) in lower_relax.HIDING:
                exact.append(_exact("exp", value.args[0].ty, options))
            elif op_name(value) in UNKNOWN:
                ty = value.args[0].ty
                name = op_name(value).removeprefix("relax.")
                exact.append(ExactSite(name, _shape(ty), str(ty.dtype), "no such operator here"))
        exact += [_exact(site.operator, site.args[0].ty, options) for site in find_sites(graph)]
    return Report(sites, exact, kernels)


# Exponentials that the registry has no operator for.
UNKNOWN = {"relax.sinh", "relax.cosh"}


def _exact(operator: str, ty: relax.Type, options: Options) -> ExactSite:
    choice = options.choose(operator, str(ty.dtype))
    reason = choice.reason or "unknown pattern"
    return ExactSite(operator, _shape(ty), str(ty.dtype), reason)


def _lowered(mod: tvm.IRModule, call: relax.Call, kernels: dict[str, str]) -> list[LoweredSite]:
    name, ty = call.args[0].name_hint, call.ty_args[0]
    kernel = next((k for k in kernels if name in k.split("fused_")[-1]), name)
    rows = []
    for site in _sites_of(mod[call.args[0]]):
        proven: Bound = bound(site["operator"], site["method"])
        rows.append(
            LoweredSite(
                site["operator"],
                _shape(ty),
                site["method"],
                site["special_values"],
                proven.relative,
                proven.absolute,
                site["source"],
                kernel,
                kernels.get(kernel, ""),
            )
        )
    return rows


def _exact_in_kernel(mod: tvm.IRModule, call: relax.Call, options: Options) -> list[ExactSite]:
    function = mod[call.args[0]]
    if not isinstance(function, tir.PrimFunc):
        return []
    rows = []
    for operator, dtype in dict.fromkeys(lower_tir.intrinsics(function)):
        reason = options.choose(operator, dtype).reason or "vector code in a PrimFunc"
        rows.append(ExactSite(operator, _shape(call.ty_args[0]), dtype, reason))
    return rows
