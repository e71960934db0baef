"""``quake-tvm lut`` in the shell: make a piecewise-linear table, print it, draw it.

Loads TVM when it is called.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Grid

from ..errors import QuakeError
from ..support import given
from ..support.whole_file import check_writable, whole_file
from .shell import AsJson, busy, output, print_json

if TYPE_CHECKING:
    from ..lut.functions import Function
    from ..lut.table import Table

_SEARCHES = ("dynamic", "genetic")


def lut(
    function: Annotated[str, typer.Argument(help="Such as gelu; an unknown name lists them.")],
    entries: Annotated[int, typer.Option("--entries", "-n", help="8 or 16.")] = 8,
    exponent: Annotated[
        int,
        typer.Option("--exponent", "-e", help="The input is an int8 times 2^-EXPONENT, 0 to 6."),
    ] = 5,
    search: Annotated[
        str,
        typer.Option(help="dynamic: the table of the least error; genetic: as GQA-LUT finds it."),
    ] = "dynamic",
    seed: Annotated[
        int | None,
        typer.Option(help="Run the genetic search with this seed, instead of the kept result."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the table into this SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a piecewise-linear table with integer slopes and intercepts, and draw it.

    The table is for int8 inputs with a scale that is a power of two, after GQA-LUT. Its error is
    that over all inputs within the function's range.
    """
    from ..lut import functions, picture, scaled

    given.choice(search, "--search", _SEARCHES)
    given.count(exponent, "--exponent", scaled.EXPONENTS[-1], scaled.EXPONENTS[0])
    if seed is not None and search != "genetic":
        raise QuakeError("--seed is for --search genetic: the dynamic programme draws nothing")
    if seed is not None:
        given.count(seed, "--seed", least=0)
    if plot is not None:
        check_writable(plot)
    of = functions.function(function)
    made = _table(of, entries, exponent, search, seed)
    found = scaled.measured(of, made, exponent)
    if plot is not None:
        with whole_file(plot) as file:
            file.write_text(picture.svg(of, made, exponent))
    if as_json:
        error = {"mse": found.mse, "max": found.max, "witness": found.witness}
        print_json({"function": function, "exponent": exponent, **vars(made), **error})
        return
    output.print(_grid(of, made, exponent))
    at = f"{found.witness * 2.0**-exponent:g}"
    said = f"mean squared error {found.mse:.3g}, largest {found.max:.3g} at x = {at}"
    output.print(said, markup=False, soft_wrap=True)
    output.print(picture.text(of, made, exponent), markup=False, soft_wrap=True)
    if plot is not None:
        output.print(f"written: {plot}", markup=False, soft_wrap=True)


def _table(of: "Function", entries: int, exponent: int, search: str, seed: int | None) -> "Table":
    from ..lut import genetic, records, scaled

    kept = records.record(of.name, entries)
    if search == "dynamic":
        return kept.best[exponent]
    if seed is None:
        return kept.genetic()[exponent]
    with busy("searching"):
        return scaled.of_chords(of, genetic.search(of, entries, seed), exponent)


def _grid(of: "Function", made: "Table", exponent: int) -> Grid:
    """The entries, as integers and as real numbers."""
    grid = Grid("from x", title=f"{of.name} = {of.formula}", caption=f"sums >> {made.shift}")
    for title in ("integer", "slope", "integer", "intercept", "integer"):
        grid.add_column(title, justify="right")
    starts: list[int | None] = [None, *made.breakpoints]
    for start, slope, intercept in zip(starts, made.slopes, made.intercepts, strict=True):
        grid.add_row(
            "" if start is None else f"{start * 2.0**-exponent:g}",
            "" if start is None else str(start),
            f"{slope * 2.0**-of.fraction:g}",
            str(slope),
            f"{intercept * 2.0**-made.shift:g}",
            str(intercept),
        )
    return grid
