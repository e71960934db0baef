"""One build for any size beside a build for each size: cases over the sizes of dimensions.

A dimension gets the sizes of its name, if there are any. Otherwise the first axis of an input is
the batch, and other symbolic axes have the length.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
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
# What dimensions without sizes of their own are.
BATCH, LENGTH = 0, 1


@dataclass(frozen=True)
class Sizes:
    """The sizes to measure.

    Attributes
    ----------
    batches, lengths : sequence of int
    named : mapping of str to sequence of int
        The sizes of dimensions by their names in the model.
    """

    batches: Sequence[int]
    lengths: Sequence[int] = ()
    named: Mapping[str, Sequence[int]] = field(default_factory=dict)


def cases(path: Path, sizes: Sizes) -> list[Case]:
    """The model with static shapes, one case for each combination of sizes.

    Raises
    ------
    QuakeError
        For a file that is no model, for a model without symbolic dimensions, for a name that it
        does not have, and for a dimension without sizes.
    """
    model = onnx_file.read(path)
    if not any(map(onnx_file.is_dynamic, onnx_file.inputs(model))):
        raise QuakeError(f"{path.name} has no dynamic dimensions: leave out the sizes")
    dims = [d for value in onnx_file.inputs(model) for d in _dimensions(value)]
    names = dict.fromkeys(d.dim_param for _, d in dims if d.dim_param)
    for name in sizes.named:
        if name not in names:
            known = ", ".join(names) or "no names"
            raise QuakeError(f"{path.name} has no dimension {name!r}; it has {known}")
    used = dict.fromkeys(_key(axis, d, sizes) for axis, d in dims)
    ways: dict[str | int, Sequence[int]] = {BATCH: sizes.batches, LENGTH: sizes.lengths}
    ways |= {name: sizes.named[name] for name in names if name in sizes.named}
    ways = {key: way for key, way in ways.items() if key in used}
    if not all(ways.values()):
        raise QuakeError(f"{path.name} has dimensions without sizes: give --lengths or --sizes")
    found = []
    for chosen in product(*ways.values()):
        each = dict(zip(ways, chosen, strict=True))
        found.append(Case(path.name, _text(each), _static(model, each, sizes)))
    return found


def _dimensions(
    value: onnx.ValueInfoProto,
) -> Iterator[tuple[int, onnx.TensorShapeProto.Dimension]]:
    """The dynamic dimensions of an input, with their axes."""
    for axis, dim in enumerate(value.type.tensor_type.shape.dim):
        if not dim.HasField("dim_value"):
            yield axis, dim


def _key(axis: int, dim: onnx.TensorShapeProto.Dimension, sizes: Sizes) -> str | int:
    if dim.dim_param in sizes.named:
        return str(dim.dim_param)
    return LENGTH if axis else BATCH


def _text(sizes: Mapping[str | int, int]) -> str:
    plain = "x".join(str(n) for key, n in sizes.items() if isinstance(key, int))
    named = [f"{key} {n}" for key, n in sizes.items() if isinstance(key, str)]
    return ", ".join([*([plain] if plain else []), *named])


def _static(
    model: onnx.ModelProto, chosen: Mapping[str | int, int], sizes: Sizes
) -> onnx.ModelProto:
    shapes = {}
    for value in onnx_file.inputs(model):
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        for axis, dim in _dimensions(value):
            shape[axis] = chosen[_key(axis, dim, sizes)]
        shapes[value.name] = shape
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
