"""``quake-tvm accuracy`` in the shell: options, progress, output. Loads TVM when it is called."""

import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..errors import QuakeError
from ..support.whole_file import whole_file
from .shell import AsJson, Target, busy, errors, output, print_json, progress

if TYPE_CHECKING:
    import tvm

    from ..accuracy.findings import Findings


def accuracy(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OPERATOR | RUNG]...", help="All element-wise ones by default."),
    ] = None,
    target: Target = "native",
    exhaustive: Annotated[
        bool, typer.Option("--exhaustive", help="Every float32: minutes an operator.")
    ] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help="With --exhaustive: store the results as bounds and record."),
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw pictures into this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure compiled kernels against exact values, their proven bounds and recorded results.

    Without --exhaustive, on a million inputs evenly spread over all bit patterns.
    """
    from ..accuracy import pictures, record
    from ..accuracy.exhaustive import exhaustive as run_all
    from ..accuracy.float32_inputs import EVERY, STRATUM
    from ..accuracy.sweeps import sweep
    from ..machines.targets import runs_here
    from ..machines.targets import target as resolve
    from ..numerics.operators import bound

    operators, methods = _chosen(names or [])
    on = resolve(target)
    if not runs_here(on):
        raise QuakeError(f"accuracy measures on this machine, which does not run {target} code")
    if update:
        if not exhaustive or set(names or []) & set(methods):
            raise QuakeError("--update needs --exhaustive and every rung: only that is a proof")
        record.require()
    else:
        for name in operators:
            bound(name, methods[0])  # refuses operators that are not proven yet
    if plot is not None:
        pictures.require(plot)
        os.environ.update(TVM_NUM_THREADS="1", TVM_BIND_THREADS="0")  # times are of one thread
    kind, total = ("hash", EVERY) if exhaustive else ("stratum", STRATUM)
    lines: list[dict[str, Any]] = []
    for name in operators:
        with _bar(name, total) as progress:
            if exhaustive:
                found = run_all(name, methods, target, progress)
            else:
                found = sweep(name, on, STRATUM, methods, progress)
            if update:
                strata = sweep(name, on, STRATUM, methods)
                record.keep(name, _facts(on), found, {m: h for m, (_, h) in strata.items()})
        lines += [_line(name, m, *found[m], kind) for m in methods]
        if plot is not None:
            _draw(name, methods, on, plot, lines)
    if as_json:
        print_json(lines)
    else:
        output.print(_table(lines, kind))
    failed = [text for line in lines for text in _failures(line, kind)]
    for text in failed:
        errors.print(f"error: {text}", markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _chosen(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The operators and the rungs among the names; all of them if none is named."""
    from ..numerics.ladder import METHODS
    from ..numerics.operators import OPERATORS

    elementwise = [name for name, row in OPERATORS.items() if row.elementwise]
    for name in names:
        if name in OPERATORS and name not in elementwise:
            raise QuakeError(f"{name} works on rows: its bound is derived from exp's")
        if name not in (*elementwise, *METHODS):
            known = ", ".join((*elementwise, *METHODS))
            raise QuakeError(f"unknown operator or rung {name!r}; choose from: {known}")
    operators = [name for name in elementwise if name in names] or elementwise
    return operators, [m for m in METHODS if m in names] or list(METHODS)


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar. The yielded function advances it by a number of inputs."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task(name, total=total)
        yield lambda done: bar.advance(task, done)


def _line(
    operator: str, method: str, findings: "Findings", digest: str, kind: str
) -> dict[str, Any]:
    from ..numerics.operators import bound

    proven = bound(operator, method).relative
    found = {**findings.to_dict(), kind: digest, "bound": proven}
    return {"operator": operator, "method": method, **found}


def _draw(
    operator: str,
    methods: Sequence[str],
    target: "tvm.target.Target",
    folder: Path,
    lines: Sequence[dict[str, Any]],
) -> None:
    """Draw an operator's pictures, and write its times, which no other run would repeat."""
    from ..accuracy import latency, pictures, record
    from ..bench import cases

    pictures.draw_errors(operator, methods, target, folder / f"{operator}_error.svg")
    found = {line["method"]: line for line in lines if line["operator"] == operator}
    if not all("hash" in line for line in found.values()):  # not all float32
        found = record.rungs(operator)
    if found:
        ulps = {method: line["ulps"] for method, line in found.items()}
        pictures.draw_ulps(operator, ulps, folder / f"{operator}_ulp.svg")
    if operator in cases.ELEMENTWISE:
        with busy(f"timing {operator}"):
            measured = latency.measure(operator, methods, target, cases.kernels([operator]))
        with whole_file(folder / f"{operator}_latency.json") as file:
            file.write_text(json.dumps(_facts(target) | measured, indent=1) + "\n")
        pictures.draw_latency(operator, measured, folder / f"{operator}_latency.svg")


def _table(lines: Sequence[dict[str, Any]], kind: str) -> Table:
    """The columns that fit into a terminal; --json prints all."""
    from ..accuracy.page import cells

    title = "every float32" if kind == "hash" else "evenly spread inputs"
    columns = "operator", "rung", "relative", "relative at", "ulp", "falls", "wrong"
    table = Table(
        *(name.rpartition(" ")[2] for name in columns),
        "bound",
        title=f"errors on {title}, after subtracting the absolute term",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    for line in lines:
        found = cells(line["operator"], line["method"], line, line[kind])
        table.add_row(*(found[name] for name in columns), f"{line['bound']:.3g}")
    return table


def _failures(line: dict[str, Any], kind: str) -> list[str]:
    """Results worse than the proven bound or different from the record, as messages."""
    from ..accuracy import record

    name = f"{line['operator']} on {line['method']}"
    failures = []
    if not line["relative"]["max"] <= line["bound"]:
        failures.append(f"{name} is above its proven bound")
    recorded = record.rungs(line["operator"]).get(line["method"], line)
    if recorded[kind] != line[kind]:
        failures.append(f"{name} gives other results than recorded")
    return failures


def _facts(target: "tvm.target.Target") -> dict[str, Any]:
    """What the record depends on: CPU, target, versions."""
    from .bench import machine

    facts = machine(target)
    versions = {k: v for k, v in facts["versions"].items() if k == "numpy" or "tvm" in k}
    libc = " ".join(platform.libc_ver())
    return {
        "cpu": facts["cpu"],
        "target": facts["target"],
        "versions": {**versions, "mpmath": metadata.version("mpmath"), "libm": libc},
    }
