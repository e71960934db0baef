"""Static costs as tables: per element for kernels, per kernel for models. Counts nothing."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

from .show import WIDTH
from .static import EXACT, Cost, Result

Value = Callable[[Cost], float]
INSTRUCTIONS, CYCLES = attrgetter("instructions"), attrgetter("cycles")
NOTES = """\
exact      this library's build with nothing lowered: libm's functions
FastMath   TVM's FastMathTransform on its default pipeline; "scheduled": on these schedules
The functions that a kernel calls are in its figures. Cycles are a model's: every branch foreseen,
every load in the first-level cache."""


def tables(results: Sequence[Result]) -> str:
    """Instructions and cycles per element of the kernels, then the models kernel by kernel."""
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    kernels = [(result, result.case.elements) for result in results if result.case.elements]
    if kernels:
        console.print(_elements("executed instructions an element", kernels, INSTRUCTIONS))
        if all(_known(result) for result, _ in kernels):
            console.print(_elements("cycles an element by llvm-mca", kernels, CYCLES))
    for result in results:
        if not result.case.elements:
            console.print(_model(result))
            for line in _savings(result):
                console.print(line)
    console.print(NOTES, markup=False)
    return console.export_text().rstrip()


def _known(result: Result) -> bool:
    """Whether llvm-mca has a model for all kernels."""
    return all(result.total(build).cycles is not None for build in result.builds)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), title_justify="left")
    for number, name in enumerate(columns):
        justify: JustifyMethod = "right" if number > 1 else "left"
        table.add_column(name.replace(" ", "\n"), justify=justify, overflow="fold")
    return table


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1e3 else f"{value:,.0f}"


def _elements(title: str, kernels: Sequence[tuple[Result, int]], value: Value) -> Table:
    """A table of kernels, each given with its number of elements."""
    names = list(dict.fromkeys(name for result, _ in kernels for name in result.builds))
    table = _table(title, ["", "", *names])
    for result, elements in kernels:
        cells = [_number(value(result.total(name)) / elements) for name in names]
        table.add_row(result.case.name, result.case.shape, *cells)
    return table


def _model(result: Result) -> Table:
    """One row per kernel, with equal code in one row; the most expensive kernels first."""
    value = CYCLES if _known(result) else INSTRUCTIONS
    what = "cycles by llvm-mca" if _known(result) else "executed instructions"
    title = f"{result.case.name} {result.case.shape}: thousands of {what}"
    table = _table(title, ["kernel", "calls", *result.builds])
    lines: dict[tuple[str, int], tuple[str, Counter[str]]] = {}
    for build, kernels in result.builds.items():
        for k in kernels:
            _, cells = lines.setdefault((k.key, k.calls), (k.name, Counter()))
            cells[build] += k.calls * value(k.cost) / 1e3
    dearest = sorted(lines.items(), key=lambda line: -max(line[1][1].values()))
    for (_, calls), (name, cells) in dearest:
        texts = [_number(cells[build]) if build in cells else "" for build in result.builds]
        table.add_row(name, str(calls), *texts)
    totals = [_number(value(result.total(build)) / 1e3) for build in result.builds]
    table.add_section()
    table.add_row("all", "", *totals)
    return table


def _savings(result: Result) -> list[str]:
    exact = result.total(EXACT)
    lines = []
    for build in result.builds:
        own = result.total(build)
        text = f"{1 - own.instructions / exact.instructions:.1%} of exact's instructions"
        if own.cycles is not None and exact.cycles is not None:
            text += f", {1 - own.cycles / exact.cycles:.1%} of its cycles"
        if build != EXACT:
            lines.append(f"{build} saves {text}")
    return lines
