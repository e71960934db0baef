"""``quake-tvm plan`` in the shell: options, progress, tables. Loads TVM when it is called."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from ..support.whole_file import check_writable
from .shell import (
    AsJson,
    ModelPath,
    Records,
    Shape,
    SpecialValues,
    Target,
    output,
    parse_records,
    parse_shapes,
    print_json,
    progress,
)


def plan(
    model: ModelPath,
    inputs: Annotated[
        list[Path],
        typer.Option(
            "--inputs", "-i", help="Calibration inputs by name, .npz: of one call, or stacked."
        ),
    ],
    budget: Annotated[float, typer.Option(help="The largest allowed value of the metric.")] = 1e-3,
    metric: Annotated[
        str,
        typer.Option(help="absolute, relative, cosine, kl, top1, or a function: module:function."),
    ] = "relative",
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="What products may compute in, repeatable: float32, bfloat16, int8. [float32]"
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--output", "-o", help="The plan to write.")] = Path(
        "plan.toml"
    ),
    target: Target = "native",
    special_values: SpecialValues = "ieee",
    shape: Shape = None,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Find a rung for each site, and a precision for each product, within an error budget.

    `compile --plan` uses the plan. TVM_NUM_THREADS sets the number of threads for timing.
    """
    from ..build import import_model
    from ..importers.interface import inputs_of
    from ..planning import planner
    from ..planning.inputs import read
    from ..site_plan import FLOAT32

    check_writable(out)
    sys.path.insert(0, "")  # for a metric in the user's folder
    shapes = parse_shapes(shape)
    mod = import_model(model, shapes)
    calls = read(inputs, inputs_of(mod))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with progress(*columns, TimeElapsedColumn()) as bar:
        task = bar.add_task("")
        found = planner.plan(
            mod,
            calls,
            budget,
            metric,
            target,
            special_values=special_values,
            records=parse_records(records),
            precisions=precision or [FLOAT32],
            progress=lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total
            ),
        )
    found.save(out)
    if as_json:
        print_json({**asdict(found), "verdict": found.verdict, "output": str(out)})
        return
    found.write(output)
    output.print(f"written: {out}", markup=False, soft_wrap=True)
