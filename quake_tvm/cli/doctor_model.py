"""``quake-tvm doctor MODEL``: what of an ONNX model is compiled, and what to change in it.

The findings are the importer's and the recognisers' own. Nothing is compiled.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ..importers.dimensions import Ranges, Shapes
from ..runtime.model_tensor import ModelTensor
from .shell import output

if TYPE_CHECKING:
    import onnx
    import tvm

    from ..importers.onnx.examine import Finding

_FATES = {
    "taken": "taken as it is",
    "rewritten": "replaced by operators with the same result",
    "folded": "computed during the import",
    "refused": "REFUSED",
}


@dataclass(frozen=True)
class Nonlinearity:
    """An exponential of the model. ``exact`` is the reason if it is not approximated."""

    operator: str
    shape: str
    dtype: str
    exact: str


@dataclass(frozen=True)
class Examination:
    """All that is found out about a model."""

    inputs: list[ModelTensor]
    conditions: list[str]
    operators: "list[Finding]"
    nonlinearities: list[Nonlinearity]

    @property
    def refused(self) -> "list[Finding]":
        return [finding for finding in self.operators if finding.fate == "refused"]


def examine(path: Path, shapes: Shapes, ranges: Ranges) -> Examination:
    """Examine a file.

    Raises
    ------
    QuakeError
        For a file that is no ONNX model, and for shapes and ranges that do not fit it.
    """
    from ..importers.onnx import file
    from ..importers.onnx.examine import examine as operators_of

    model = file.opened(path)
    found, module = operators_of(model, shapes, ranges)
    inputs = [
        ModelTensor(
            value.name,
            tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim),
            _type(value.type),
        )
        for value in file.inputs(file.with_shapes(model, shapes, ranges))
    ]
    if module is None:
        return Examination(inputs, [], found, [])
    return Examination(inputs, _conditions(module), found, _nonlinearities(module))


def _type(of: "onnx.TypeProto") -> str:
    """The dtype of a tensor, or what an input is that is no tensor."""
    from onnx import helper

    kind = of.WhichOneof("value") or "unknown"
    if kind != "tensor_type":
        return kind.removesuffix("_type")
    if of.tensor_type.elem_type not in helper.get_all_tensor_dtypes():
        return "unknown"
    return str(helper.tensor_dtype_to_np_dtype(of.tensor_type.elem_type).name)


def _conditions(module: "tvm.IRModule") -> list[str]:
    from ..runtime.extent_limits import ExtentLimits

    return list(ExtentLimits.of(module["main"]).conditions)


def _nonlinearities(module: "tvm.IRModule") -> list[Nonlinearity]:
    from ..kernels.recurrent_operator import cell_of, layer_of, recurrent_calls
    from ..options import Options
    from ..passes.dialect import dtype, functions, shape_text
    from ..passes.quake import find_sites
    from ..passes.relax import lower_recurrent
    from ..passes.relax.graph import Graph

    options, found = Options.parse(), []
    for _, function in functions(module):
        for site in find_sites(Graph(function)):
            x = site.args[0]
            reason = options.choose(site.operator, dtype(x)).reason
            found.append(Nonlinearity(site.operator, shape_text(x), dtype(x), reason))
        for call in recurrent_calls(function):
            of, shape = dtype(call.args[0]), lower_recurrent.shape_of(call)
            names = dict.fromkeys(f.operator for f in cell_of(layer_of(call)).functions)
            found += [
                Nonlinearity(name, shape, of, options.choose(name, of).reason)
                for name in names
                if name
            ]
    return found


def to_dict(examination: Examination) -> dict[str, Any]:
    """The examination as JSON has it."""
    return {**asdict(examination), "taken": not examination.refused}


def show(model: Path, examination: Examination) -> None:
    """Print an examination."""
    refused = examination.refused
    table = Table("input", "type", "shape: a name stands for any size", title=model.name)
    for given in examination.inputs:
        table.add_row(given.name, given.dtype, ", ".join(map(str, given.shape)) or "scalar")
    output.print(table)
    for condition in examination.conditions:
        output.print(f"only for {condition}", markup=False, soft_wrap=True)
    table = Table("operator", "nodes", "what becomes of it")
    for finding in examination.operators:
        if finding.operator:
            table.add_row(finding.operator, str(finding.nodes), _FATES[finding.fate])
    if table.row_count:
        output.print(table)
    _show_nonlinearities(examination.nonlinearities)
    for finding in refused:
        output.print(f"refused: {finding.what}", markup=False, soft_wrap=True)
    if refused:
        verdict = f"{model.name} cannot be compiled as it is{_with_sizes(model, examination)}"
    else:
        verdict = f"{model.name} can be compiled: quake-tvm compile {model}"
    output.print(verdict, markup=False, soft_wrap=True)


def _with_sizes(model: Path, examination: Examination) -> str:
    """The command that examines the model for fixed sizes; none if sizes are not what it lacks."""
    shapes = [
        f"--shape {given.name}={','.join(map(str, given.shape))}"
        for given in examination.inputs
        if any(isinstance(n, str) for n in given.shape)
    ]
    if not shapes or any(finding.operator for finding in examination.refused):
        return ""
    command = f"quake-tvm doctor {model} {' '.join(shapes)}"
    return f"; whether it can for fixed sizes, with a number for each name: {command}"


def _show_nonlinearities(found: list[Nonlinearity]) -> None:
    groups: dict[tuple[str, str], int] = {}
    for one in found:
        key = one.operator, f"left exact: {one.exact}" if one.exact else "approximated"
        groups[key] = groups.get(key, 0) + 1
    if not groups:
        return
    table = Table("nonlinearity", "sites", "what becomes of it")
    for (operator, fate), count in groups.items():
        table.add_row(operator, str(count), fate)
    output.print(table)
