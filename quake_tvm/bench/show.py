"""Benchmark results as tables and as a picture. Measures nothing."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

from . import peers
from .compare import Result, Row

NOTES = """\
exact      this library's build with nothing lowered
{tvm}
multiply   the same tensor times a constant
±          half the distance between the quartiles
*          less the call: the time of the same kernel over a few elements is taken off;
           "-" where the noise leaves nothing
TVM is timed inside its runtime, the others in a loop in Python."""
WIDTH = 160
# Bars longer than so many times the first method's bar are cut off.
LONGEST = 6


def _table(title: str, results: Sequence[Result], cell: Callable[[Result, Row], str]) -> Table:
    """One row per case and one column per contender; columns without any entry are left out."""
    lines = [{row.contender: cell(result, row) for row in result.rows} for result in results]
    names = list(dict.fromkeys(name for line in lines for name, text in line.items() if text))
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), title_justify="left")
    for name in ("", "", *names):
        justify: JustifyMethod = "right" if name else "left"
        words = name.split()
        longest = max(map(len, words), default=None)
        table.add_column("\n".join(words), justify=justify, overflow="fold", min_width=longest)
    for result, line in zip(results, lines, strict=True):
        shape = result.case.shape + ("*" if result.case.tiny else "")
        table.add_row(escape(result.case.name), shape, *(line.get(name, "") for name in names))
    return table


def _ratio(result: Result, row: Row) -> str:
    return f"{row.ratio.median:.2f}" if row.ratio and row.ratio.median > 0 else "-"


def _unit(result: Result) -> float:
    """The factor from seconds to nanoseconds per element (kernels) or milliseconds (models)."""
    return 1e9 / result.case.elements if result.case.elements else 1e3


def _time(result: Result, row: Row) -> str:
    seconds = row.seconds
    if seconds.median <= 0:
        return "-"
    spread = (seconds.high - seconds.low) / 2 / seconds.median
    return f"{seconds.median * _unit(result):.3g} ±{spread:.0%}"


def _difference(result: Result, row: Row) -> str:
    return "" if row.difference is None else f"{row.difference:.1e}"


def _lowered(result: Result, row: Row) -> str:
    return f"{row.lowered[0]} of {row.lowered[1]}" if row.lowered else ""


def tables(results: Sequence[Result], width: int = WIDTH) -> str:
    """Ratios, medians with their spread, differences; then the skipped contenders with reasons.

    Cells of tables wider than ``width`` have several lines.
    """
    console = Console(width=width, record=True, file=io.StringIO())
    first = results[0].rows[0].contender
    console.print(_table(f"time / time of {first}: above 1, {first} is faster", results, _ratio))
    kinds = {
        "nanoseconds an element": [r for r in results if r.case.elements],
        "milliseconds": [r for r in results if not r.case.elements],
    }
    for unit, some in kinds.items():
        if some:
            console.print(_table(f"{unit}, median of the rounds", some, _time))
    title = "largest difference to exact, relative above 1"
    console.print(_table(title, results, _difference))
    if kinds["milliseconds"]:
        console.print(_table("nonlinearities lowered", kinds["milliseconds"], _lowered))
    reasons: dict[str, list[str]] = {}
    for result in results:
        for name, reason in result.skipped.items():
            reasons.setdefault(f"{name} skipped: {reason}", []).append(result.case.name)
    for line, cases in reasons.items():
        console.print(f"{line} ({', '.join(dict.fromkeys(cases))})", markup=False)
    console.print(NOTES.format(tvm=peers.NOTES), markup=False)
    return console.export_text().rstrip()


def plot(results: Sequence[Result], facts: Mapping[str, Any], path: Path) -> None:
    """Draw a bar for each contender and case: the median, with a line between the quartiles.

    Bars much longer than the first method's are cut off and marked with an arrow.

    Parameters
    ----------
    results : sequence of Result
    facts : mapping
        CPU, target and threads, for the title.
    path : Path
        The suffix selects the format.
    """
    from matplotlib.figure import Figure

    columns = min(3, len(results))
    lines = -(-len(results) // columns)
    figure = Figure(figsize=(5 * columns, 3 * lines + 0.6), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).flat
    for axis in list(axes)[len(results) :]:
        axis.remove()
    for axis, result in zip(figure.axes, results, strict=True):
        _bars(axis, result)
    figure.suptitle(f"{facts['cpu']}, {facts['target']}, threads: {facts['threads']}", fontsize=10)
    figure.savefig(path, format=path.suffix.removeprefix("."), dpi=150)


def _bars(axis: Any, result: Result) -> None:
    rows = [row for row in result.rows if row.seconds.median > 0]
    unit = _unit(result)
    medians = [row.seconds.median * unit for row in rows]
    errors = [
        [(row.seconds.median - row.seconds.low) * unit for row in rows],
        [(row.seconds.high - row.seconds.median) * unit for row in rows],
    ]
    first = result.rows[0]
    colors = ["tab:orange" if row is first else "tab:gray" for row in rows]
    axis.barh([row.contender for row in rows], medians, xerr=errors, color=colors)
    longest = max(medians, default=1.0)
    if first.seconds.median > 0:
        longest = min(longest, LONGEST * first.seconds.median * unit)
    axis.set_xlim(0, 1.25 * longest)
    for place, row in enumerate(rows):
        text = f"{medians[place]:.3g}"
        if medians[place] > longest:
            at, style = 1.24 * longest, {"ha": "right", "color": "white"}
            text += " →"
        else:
            at, style = row.seconds.high * unit + 0.01 * longest, {"ha": "left"}
        axis.text(at, place, text, va="center", fontsize=7, **style)
    axis.invert_yaxis()
    axis.tick_params(labelsize=7)
    axis.set_title(f"{result.case.name} {result.case.shape}", fontsize=9)
    axis.set_xlabel("ms" if result.case.elements is None else "ns an element", fontsize=7)
