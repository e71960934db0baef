"""``quake-tvm explain``: a model's nonlinearities, their bounds and the expected gain.

What becomes of the model is found as in ``quake-tvm doctor MODEL``. The model is not built: only
small kernels of its operators are.
"""

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from ..errors import QuakeError
from .shell import (
    AsJson,
    Method,
    ModelPath,
    NamedShape,
    SizeRange,
    busy,
    output,
    parse_named_shapes,
    parse_ranges,
    print_json,
)

if TYPE_CHECKING:
    from ..bench.gain import Gain
    from .doctor_model import Nonlinearity


@dataclass(frozen=True)
class Expected:
    """What is expected of all sites of one operator.

    Attributes
    ----------
    operator : str
    sites : int
    elements : int or None
        Of all sites together; None if a size is open.
    relative : float or None
        The largest proven relative error of a site; None if they stay exact.
    exact_ns, lowered_ns : float or None
        Nanoseconds an element with libm's functions and on the rung; None if not measured.
    saved_ms : float or None
        Milliseconds that the rung saves in a run; None if unknown.
    exact : str
        Why the sites stay exact; else empty.
    """

    operator: str
    sites: int
    elements: int | None
    relative: float | None
    exact_ns: float | None
    lowered_ns: float | None
    saved_ms: float | None
    exact: str


def explain(
    model: ModelPath,
    method: Method = None,
    shape: NamedShape = None,
    size_range: SizeRange = None,
    as_json: AsJson = False,
) -> None:
    """Say what a rung does in a model, without building it: sites, bounds, expected gain.

    The gain is measured on this machine with small kernels on one thread, compared with libm's
    functions. Where the model leaves sizes open, give them with --shape. Ends with status 1 if
    the model cannot be compiled.
    """
    os.environ.update(TVM_NUM_THREADS="1", TVM_BIND_THREADS="0")  # read when TVM starts
    from .. import tvm_version
    from ..bench import gain
    from ..machines.targets import target
    from ..options import Options
    from . import doctor_model

    if tvm_version.RELAY:
        raise QuakeError(f"explain needs the TVM that has Relax: {tvm_version.RELAX_INSTALL}")
    options = Options.parse(method)
    rung = options.method
    assert rung is not None  # without max_error there is always one
    if rung == "exact":
        raise QuakeError("exact changes no nonlinearity: give a rung, quake1 to quake5")
    with busy(f"examining {model.name}"):
        shapes, ranges = parse_named_shapes(shape), parse_ranges(size_range)
        found = doctor_model.examine(model, shapes, ranges)
    lowered = {site.operator for site in found.nonlinearities if not site.exact}
    with busy("measuring"):
        gains = gain.measure(lowered, rung, target("native"))
    rows = expected(found.nonlinearities, rung, gains)
    if as_json:
        refused = [finding.what for finding in found.refused]
        facts = {"model": str(model), "method": rung, "refused": refused}
        print_json({**facts, "operators": [asdict(row) for row in rows]})
    elif found.refused:
        doctor_model.show(model, found)
    else:
        show(model, rung, rows)
    if found.refused:
        raise typer.Exit(1)


def expected(found: "list[Nonlinearity]", method: str, gains: "dict[str, Gain]") -> list[Expected]:
    """The sites, grouped by operator and by why they stay exact."""
    from ..numerics.operators import bound

    groups: dict[tuple[str, str], list[Nonlinearity]] = {}
    for site in found:
        groups.setdefault((site.operator, site.exact), []).append(site)
    rows = []
    for (operator, reason), sites in groups.items():
        sizes = [_elements(site.shape) for site in sites]
        elements = None if None in sizes else sum(n for n in sizes if n is not None)
        relative = None
        if not reason:
            relative = max(bound(operator, method, site.dtype).relative for site in sites)
        measured = None if reason else gains.get(operator)
        exact_ns = lowered_ns = saved = None
        if measured is not None:
            exact_ns, lowered_ns = measured.exact * 1e9, measured.lowered * 1e9
            saved = None if elements is None else measured.saved * elements * 1e3
        times = exact_ns, lowered_ns, saved
        rows.append(Expected(operator, len(sites), elements, relative, *times, reason))
    return rows


def _elements(shape: str) -> int | None:
    """The number of elements of a shape as reports write it; None if a size is open."""
    sizes = [] if shape == "scalar" else shape.split("x")
    return math.prod(map(int, sizes)) if all(n.isdigit() for n in sizes) else None


def verdict(method: str, rows: list[Expected]) -> str:
    """What to expect, in one line."""
    taken = [row for row in rows if not row.exact]
    if not taken:
        return "no nonlinearity is approximated: only the schedules make this model faster"
    worst = max(taken, key=lambda row: row.relative or 0.0)
    promise = f"{method}: no error above {worst.relative:.2g} ({worst.operator})"
    if any(row.elements is None for row in taken):
        return f"{promise}; give sizes with --shape for the milliseconds that it saves"
    saved = sum(row.saved_ms or 0.0 for row in taken)
    return (
        f"{promise}; expect about {saved:.2g} ms a run less than with libm's functions; "
        "quake-tvm compare measures the whole model"
    )


def show(model: Path, method: str, rows: list[Expected]) -> None:
    """Print the table and the verdict."""
    columns = "nonlinearity", "sites", "elements", "bound", "ns, libm", f"ns, {method}", "saves ms"
    table = Table(*columns, title=model.name)
    for row in rows:
        if row.exact:
            continue
        cells = (row.relative, row.exact_ns, row.lowered_ns, row.saved_ms)
        shown = ["-" if cell is None else f"{cell:.2g}" for cell in cells]
        elements = "open" if row.elements is None else f"{row.elements:,}"
        table.add_row(row.operator, str(row.sites), elements, *shown)
    if table.row_count:
        output.print(table)
    for row in rows:
        if row.exact:
            text = f"{row.operator}, {row.sites} sites, stays exact: {row.exact}"
            output.print(text, markup=False, soft_wrap=True)
    output.print(verdict(method, rows), markup=False, soft_wrap=True)
