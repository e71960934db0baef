"""The report: how every nonlinearity of a module was lowered, and which rule scheduled each kernel.

This module has the data and its text. :mod:`passes.relax.report` and :mod:`passes.relay.report`
fill it from a module.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .numerics.operators import bound
from .options import Options
from .support.notebook import WIDTH, page, text

if TYPE_CHECKING:
    from rich.console import Console

# The source of a schedule's tunable parameters if no record was used.
BY_RULE = "rule"
# The operator of a site that is a table of integers. A table of all inputs has no error.
TABLE = "table"


@dataclass(frozen=True)
class LoweredSite:
    """One lowered nonlinearity.

    ``record`` is the source of the tunable parameters of its kernel's schedule. ``versions`` is the
    number of versions of its kernel, of which the sizes at hand choose one in each run. If the site
    is in several kernels, it is the largest of their numbers.
    """

    operator: str
    shape: str
    method: str
    special_values: str
    relative: float
    absolute: float
    source: str
    kernel: str
    schedule: str
    record: str = BY_RULE
    versions: int = 1
    witness: int | None = None

    @staticmethod
    def of(
        site: Mapping[str, Any],
        kernel: str = "",
        schedule: str = "",
        shape: str = "?",
        record: str = BY_RULE,
        versions: int = 1,
    ) -> "LoweredSite":
        """Build a row from the annotations of a lowering.

        Parameters
        ----------
        site : mapping
            operator, method, special_values, source, and shape if it is known. Of a table with an
            error also ``steps`` and ``witness``.
        kernel, schedule, record : str
            The kernel, its rule, and the source of its tunable parameters.
        shape : str
            The shape if the annotations have none, as those of kernels that were lowered as
            kernels.
        versions : int
            The number of versions of the kernel.
        """
        relative, absolute = 0.0, float(site.get("steps", 0))
        if site["operator"] != TABLE:
            proven = bound(site["operator"], site["method"])
            relative, absolute = proven.relative, proven.absolute
        return LoweredSite(
            site["operator"],
            site.get("shape", shape),
            site["method"],
            site["special_values"],
            relative,
            absolute,
            site["source"],
            kernel,
            schedule,
            record,
            versions,
            site.get("witness"),
        )

    @property
    def scheduled(self) -> str:
        """The rule and the number of versions, for a table."""
        if self.versions == 1:
            return self.schedule
        return f"{self.schedule}\n{self.versions} versions, by size"


@dataclass(frozen=True)
class ExactSite:
    """One exponential that TVM computes as before, and the reason."""

    operator: str
    shape: str
    dtype: str
    reason: str

    @staticmethod
    def of(
        operator: str, shape: str, dtype: str, options: Options, otherwise: str = "unknown pattern"
    ) -> "ExactSite":
        """Build a row.

        Parameters
        ----------
        operator, shape, dtype : str
        options : Options
            They give the reason, if they leave the operator exact.
        otherwise : str
            The reason if the options give none.
        """
        reason = options.choose(operator, dtype).reason or otherwise
        return ExactSite(operator, shape, dtype, reason)


def _error(site: LoweredSite) -> str:
    if site.witness is not None:
        return f"{site.absolute:g} steps at {site.witness}"
    return f"{site.relative:.3g}" + (f" + {site.absolute:.2g}" if site.absolute else "")


# The columns of a report's table, and those that a console of 80 characters shows.
_COLUMNS: dict[str, Callable[[LoweredSite], str]] = {
    "operator": lambda site: site.operator,
    "shape": lambda site: site.shape,
    "rung": lambda site: site.method,
    "error bound": _error,
    "from": lambda site: site.source,
    "kernel": lambda site: site.kernel,
    "schedule": lambda site: site.scheduled,
    "record": lambda site: site.record,
}
_NARROW = ("operator", "shape", "rung", "error bound", "schedule")


# (operator, shape, source) of sites to a list, in order, of each site's kernel and its rule.
Kernels = dict[tuple[str, str, str], list[tuple[str, str]]]


@dataclass(frozen=True, repr=False)
class Report:
    """All sites of a compiled module. ``print`` it, or read its lists.

    What is printed is as wide as the terminal, and 80 columns in a pipe; the variable ``COLUMNS``
    sets another width. From 140 columns on it has each site's kernel and record, too.

    Attributes
    ----------
    sites : list of LoweredSite
    exact : list of ExactSite
    kernels : dict
        Name of a scheduled PrimFunc to the rule that scheduled it.
    records : dict
        Name of a scheduled PrimFunc to the source of its tunable parameters.
    plan : str
        A summary of the plan, if a plan chose the rungs.
    """

    sites: list[LoweredSite] = field(default_factory=list)
    exact: list[ExactSite] = field(default_factory=list)
    kernels: dict[str, str] = field(default_factory=dict)
    records: dict[str, str] = field(default_factory=dict)
    plan: str = ""

    def with_kernels(self, kernels: Kernels) -> "Report":
        """A copy of the report with each site's kernel and rule filled in.

        Equal sites that TVM has merged into one share the last kernel of their kind.
        """
        left = {key: list(found) for key, found in kernels.items()}
        sites = []
        for site in self.sites:
            of_kind = left.get((site.operator, site.shape, site.source), [("", "")])
            kernel, rule = of_kind.pop(0) if len(of_kind) > 1 else of_kind[0]
            sites.append(replace(site, kernel=kernel, schedule=rule))
        return replace(self, sites=sites)

    def to_json(self) -> str:
        """The whole report as JSON. A site says nothing of one version, nor of no witness."""
        raw = asdict(self)
        for site in raw["sites"]:
            if site["versions"] == 1:
                del site["versions"]
            if site["witness"] is None:
                del site["witness"]
        return json.dumps(raw)

    @staticmethod
    def from_json(text: str) -> "Report":
        """A report from the text of :meth:`to_json`."""
        raw = json.loads(text)
        return Report(
            [LoweredSite(**row) for row in raw["sites"]],
            [ExactSite(**row) for row in raw["exact"]],
            raw["kernels"],
            raw.get("records", {}),  # missing in libraries of version 0.1
            raw.get("plan", ""),
        )

    def __str__(self) -> str:
        return text(self.write)

    def __repr__(self) -> str:
        counts = f"{len(self.sites)} lowered, {len(self.exact)} left exact"
        return f"<quake_tvm.Report: {counts}; print it for the sites>"

    def _repr_html_(self) -> str:
        return page("", self.write)

    def write(self, console: "Console") -> None:
        """Print the report on a console of rich. A narrow one gets fewer columns."""
        from rich.table import Table

        columns = _COLUMNS if console.width >= WIDTH else _NARROW
        table = Table(title=f"{len(self.sites)} lowered")
        for name in ("n", *columns):
            table.add_column(name, overflow="fold")
        rows = Counter(tuple(_COLUMNS[name](site) for name in columns) for site in self.sites)
        for cells, count in rows.items():
            table.add_row(str(count), *cells)
        if self.sites:
            console.print(table)
        if self.exact:
            table = Table(title=f"{len(self.exact)} left exact")
            for name in ("n", "operator", "shape", "dtype", "reason"):
                table.add_column(name)
            for left, count in Counter(self.exact).items():
                table.add_row(str(count), left.operator, left.shape, left.dtype, left.reason)
            console.print(table)
        if self.plan:
            console.print(f"plan: {self.plan}", markup=False, soft_wrap=True)
        for line in self._schedules():
            console.print(line, soft_wrap=True)

    @property
    def largest(self) -> LoweredSite | None:
        """The site with the largest bound, relative or absolute; None without sites."""
        return max(self.sites, key=lambda s: max(s.relative, s.absolute), default=None)

    def _schedules(self) -> list[str]:
        """The number of kernels per rule and per record, and the kernels without their own rule."""
        if not self.kernels:
            return []
        counted = Counter(self.kernels.values()).most_common()
        lines = ["kernels: " + ", ".join(f"{count} {rule}" for rule, count in counted)]
        sources = Counter(self.records.values())
        if set(sources) - {BY_RULE}:
            told = (f"{count} by {source}" for source, count in sorted(sources.items()))
            lines.append("choices: " + "; ".join(told))
        for rule, words in (("fallback", "parallel and in vectors"), ("none", "not scheduled")):
            names = [name for name, own in self.kernels.items() if own == rule]
            if names:
                lines.append(f"no rule of their own, {words}: {', '.join(names)}")
        return lines
