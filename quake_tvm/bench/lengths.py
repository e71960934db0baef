"""One build for any size beside a build for each size: cases over batches and lengths.

A model's input has the batch as its first axis. Its other symbolic axes have the length.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import onnx
import tvm

from .. import compiler
from ..errors import QuakeError
from ..importers.onnx import file as onnx_file
from ..schedules.records.book import Records
from .cases import Case
from .compare import Result
from .line_picture import Line
from .relax_peers import compiled
from .runtimes import Contender, Job

ANY = "any size"


def cases(path: Path, batches: Sequence[int], lengths: Sequence[int]) -> list[Case]:
    """The model with static shapes of each batch and length.

    Raises
    ------
    QuakeError
        For a file that is no model, and for a model without symbolic dimensions.
    """
    model = onnx_file.read(path)
    if not any(map(onnx_file.is_dynamic, onnx_file.inputs(model))):
        raise QuakeError(f"{path.name} has no dynamic dimensions: leave out --lengths")
    return [
        Case(path.name, f"{batch}x{length}", _static(model, batch, length))
        for batch in batches
        for length in lengths
    ]


def _static(model: onnx.ModelProto, batch: int, length: int) -> onnx.ModelProto:
    shapes = {}
    for value in onnx_file.inputs(model):
        dims = value.type.tensor_type.shape.dim
        shapes[value.name] = [
            d.dim_value if d.HasField("dim_value") else (length if axis else batch)
            for axis, d in enumerate(dims)
        ]
    return onnx_file.with_shapes(model, shapes)


def any_size(
    path: Path, target: tvm.target.Target, method: str, records: Records
) -> Callable[[Job], Contender]:
    """The model compiled once, without shapes, as a contender for all cases."""
    model = compiler.compile(path, target, method, records=records)

    def build(job: Job) -> Contender:
        return compiled(model, job)

    return build


def lines(results: Sequence[Result]) -> Mapping[str, Line]:
    """Milliseconds over the length, one line for each contender and batch."""
    found: dict[str, list[tuple[float, float]]] = {}
    for result in results:
        batch, length = map(int, result.case.shape.split("x"))
        for row in result.rows:
            if row.seconds.median > 0:
                points = found.setdefault(f"{row.contender}, batch {batch}", [])
                points.append((length, row.seconds.median * 1e3))
    return found
