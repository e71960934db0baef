"""``quake-tvm norms`` in the shell: whether a model's norms survive float16, and with which scales.

Loads TVM when it is called.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ..support.whole_file import check_writable, whole_file
from .shell import AsJson, ModelPath, Shape, busy, output, parse_shapes, print_json

if TYPE_CHECKING:
    from ..norms.scales import NormScales


def norms(
    model: ModelPath,
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--inputs", "-i", help="Inputs by name, .npz, to run the model on."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            "-w",
            help="Write the model with the scales in its decomposed norms.",
        ),
    ] = None,
    shape: Shape = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a model's norms survive sums in float16, and with which scales.

    For each norm: the typical and the largest root sum of squares of a row, as the weights give
    them, a power of two as scale, and whether it is proven for every input. With `--inputs` also
    the largest that was seen.
    """
    from ..build import import_model
    from ..importers.interface import inputs_of
    from ..norms.scales import norm_scales
    from ..planning.inputs import read

    if write is not None:
        check_writable(write, but=model)
    shapes = parse_shapes(shape)
    with busy(f"examining the norms of {model.name}"):
        imported = import_model(model, shapes)
        calls = read(inputs or [], inputs_of(imported))
        found = norm_scales(imported, inputs=calls)
        changed = 0 if write is None else _write(model, found, write)
    if as_json:
        made = {} if write is None else {"output": str(write), "changed": changed}
        print_json({"model": str(model), **made, **found.to_dict()})
        return
    output.print(_table(found))
    output.print(found.verdict, markup=False, soft_wrap=True)
    if write is not None:
        output.print(f"written: {write}, {changed} norms changed", markup=False, soft_wrap=True)


def _write(model: Path, found: "NormScales", path: Path) -> int:
    """Write the scaled model: the number of norms that were changed."""
    import onnx

    from ..importers.onnx import file
    from ..norms.scaled_onnx import scaled

    result, changed = scaled(file.read(model), found.norms)
    with whole_file(path) as temporary:
        onnx.save(result, temporary)
    return changed


def _table(found: "NormScales") -> Table:
    table = Table("norm", "operator", "length", title="root sum of squares of a row")
    for title in ("typical", "largest seen", "proven", "scale", "claim"):
        table.add_column(title, justify="right")
    for norm in found.norms:
        sizes = (
            "" if size is None else f"{size:.4g}" for size in (norm.typical, norm.seen, norm.proven)
        )
        scale = "" if norm.scale is None else f"{norm.scale:.6g}"
        table.add_row(str(norm.number), norm.operator, str(norm.length), *sizes, scale, norm.claim)
    return table
