"""``quake-tvm convert`` in the shell: options, progress, the table. Loads TVM when it is called."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from ..errors import QuakeError
from ..support.whole_file import check_writable, whole_file
from .shell import AsJson, ModelPath, output, print_json, progress


def convert(
    model: ModelPath,
    inputs: Annotated[
        list[Path],
        typer.Option(
            "--inputs", "-i", help="Calibration inputs by name, .npz: of one call, or stacked."
        ),
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="The ONNX model to write.")],
    lookup: Annotated[
        bool, typer.Option("--lookup", help="Replace feed-forward layers by hashed look-ups.")
    ] = False,
    layer: Annotated[
        list[int] | None,
        typer.Option(help="A feed-forward layer to convert, from 0; all of them by default."),
    ] = None,
    budget: Annotated[
        float, typer.Option(help="The largest relative error of a layer; others stay.")
    ] = 0.2,
    tables: Annotated[int, typer.Option(help="Tables of a layer.")] = 128,
    bits: Annotated[int, typer.Option(help="Bits of a table's codes.")] = 8,
    rows: Annotated[int, typer.Option(help="Rows to train each layer on.")] = 400_000,
    seed: Annotated[int, typer.Option(help="Seed of the first hash and of the order.")] = 0,
    form: Annotated[
        str, typer.Option("--format", help="What tables are stored in: float32, bfloat16, int8.")
    ] = "bfloat16",
    mask: Annotated[
        str | None,
        typer.Option(
            "--mask", metavar="INPUT", help="An input that is 0 for padding: it is not learnt."
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work",
            help="Folder of the state, from which an interrupted conversion continues; "
            "OUTPUT.work by default.",
        ),
    ] = None,
    beside: Annotated[
        bool,
        typer.Option("--beside", help="Keep the layers beside the look-ups, for quake-tvm plan."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Convert feed-forward layers to look-ups that are trained to give the same.

    A layer whose look-up misses the budget stays as it is. The written model runs in other runtimes
    too. If the conversion is interrupted, the same command continues it.
    """
    if not lookup:
        raise QuakeError("say what to convert to: --lookup")
    import onnx

    from ..build import import_model
    from ..importers.interface import inputs_of
    from ..importers.onnx import file
    from ..lookup import convert as run
    from ..lookup.distil import Settings
    from ..lookup.report import table
    from ..lookup.state_folder import remove
    from ..planning.inputs import read

    check_writable(out, but=model)
    source = file.read(model)
    calls = read(inputs, inputs_of(import_model(model)))
    folder = work or out.with_name(f"{out.name}.work")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("")
        found = run(
            source,
            calls,
            layers=layer,
            budget=budget,
            settings=Settings(tables, bits, rows, seed),
            form=form,
            mask=mask,
            folder=folder,
            progress=lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total
            ),
        )
    with whole_file(out) as temporary:
        onnx.save(found.beside if beside else found.model, temporary)
    if work is None:
        remove(folder)
    if as_json:
        print_json({"output": str(out), "layers": [asdict(each) for each in found.layers]})
        return
    output.print(table(found.layers))
    output.print(f"written: {out}", markup=False, soft_wrap=True)
