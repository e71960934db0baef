"""Read an ONNX model from its file and set its input shapes. Knows no TVM."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import helper, serialization

from ...errors import QuakeError
from ...support import given
from ..dimensions import Ranges, Shapes, check_names
from .contributed import DOMAIN, MISPLACED
from .dimensions import (
    Dimension,
    is_named,
    name_dimensions,
    open_dimensions,
    rename_dimensions,
    set_dimension,
)
from .external import LARGE, load_external, locate, locate_external
from .formats import other_format
from .node_order import in_order
from .nodes import all_nodes, graphs, place
from .outline import outline
from .sparse import with_dense
from .tensors import check_tensors, is_external, tensors

# The first version of the format in which constants need not be inputs.
_CONSTANTS_APART = 4


def read(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file. Raises QuakeError if the file is missing or not a valid model."""
    return _checked(path, _whole)


def opened(path: str | Path) -> onnx.ModelProto:
    """The same, but large weights stay in their files, and :func:`external.array` reads them."""
    return _checked(path, _outlined)


def _checked(path: str | Path, reader: Callable[[Path], onnx.ModelProto]) -> onnx.ModelProto:
    path = given.file(path, "the model", ".onnx")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise QuakeError(f"cannot read {path}: {error.strerror}") from None
    try:
        if empty:
            raise QuakeError("the file is empty: download or export it again")
        model = in_order(with_dense(reader(path)))
        skeleton = _skeleton(model)
        _check_operators(skeleton)
        onnx.checker.check_model(skeleton)
        return _sound(model)
    except Exception as error:
        reason = other_format(path) or _reason(error)
        raise QuakeError(f"{path} is not a valid ONNX model: {reason}") from None


def _reason(error: Exception) -> str:
    """What is wrong with a file and what to do, in one line. onnx's own words may be long."""
    if isinstance(error, QuakeError):
        return str(error)
    words = " ".join(str(error).split())[:200] or "it cannot be read"
    if isinstance(error, DecodeError):
        words = "it is cut off, or not in the format of ONNX files"
    return f"{words}; download or export it again"


def _check_operators(model: onnx.ModelProto) -> None:
    """Refuse operators of the standard domain that onnx does not have: its own words are long."""
    own = {function.name for function in model.functions if not function.domain}
    for node in all_nodes(model.graph):
        if not node.domain and node.op_type not in own and not onnx.defs.has(node.op_type):
            raise QuakeError(
                f"onnx {onnx.__version__} has no operator {node.op_type} ({place(node)}); "
                "a newer onnx may have it, or replace it in the model"
            )


def _whole(path: Path) -> onnx.ModelProto:
    model = onnx.load(path, load_external_data=False)
    load_external(model, path)
    return model


def _outlined(path: Path) -> onnx.ModelProto:
    if serialization.registry.get_format_from_file_extension(path.suffix) not in (None, "protobuf"):
        return _whole(path)
    model, places = outline(path, LARGE)
    locate_external(model, path)
    for position, where in places.items():
        tensor = model.graph.initializer[position]
        if not is_external(tensor):
            locate(tensor, path, *where)
    return model


def sound(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its nodes in order, after checks of nodes, outputs and tensors.

    Raises
    ------
    QuakeError
        Without nodes or outputs, for two values of one name, and for tensors whose data are
        elsewhere, or do not match their type and shape.
    """
    for tensor in tensors(model):
        if is_external(tensor):
            raise QuakeError(
                f"the data of the tensor {tensor.name!r} are in another file: give the model's "
                "path, or load the model with its data"
            )
    return _sound(with_dense(model))


def _sound(model: onnx.ModelProto) -> onnx.ModelProto:
    if not model.graph.node:
        raise QuakeError("its graph has no nodes: export the model again")
    if not model.graph.output:
        raise QuakeError("its graph has no outputs: name in it what the model gives")
    check_tensors(model)
    _check_names(model.graph)
    return in_order(model)


def _check_names(graph: onnx.GraphProto) -> None:
    """Refuse a graph in which two values have one name: which of them a node reads is open."""
    twice = {
        name for name, count in Counter(c.name for c in graph.initializer).items() if count > 1
    }
    if twice:
        raise QuakeError(f"two constants are named {min(twice)!r}: rename one")
    names = {value.name for value in (*graph.input, *graph.initializer)}
    for node in graph.node:
        for name in filter(None, node.output):
            if name in names:
                raise QuakeError(f"two values are named {name!r} ({place(node)}): rename one")
            names.add(name)


def _skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy for ONNX's checker: without tensor data, which may exceed its limit of 2 GB.

    The checker refuses outputs without a type or a shape, so the copy gets them.
    """
    copy = onnx.ModelProto()
    for field in ("ir_version", "opset_import", "functions", "model_version"):
        _copy_field(model, copy, field)
    for field in ("name", "node", "input", "output", "value_info"):
        _copy_field(model.graph, copy.graph, field)
    for tensor in model.graph.initializer:
        copy.graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=[0])
        copy.graph.initializer[-1].raw_data = b""
    for value in (*copy.graph.input, *copy.graph.output):
        if value.type.WhichOneof("value") in (None, "tensor_type"):
            ty = value.type.tensor_type
            ty.elem_type = ty.elem_type or onnx.TensorProto.FLOAT
            ty.shape.SetInParent()
    _rename_domains(copy)
    return copy


def _copy_field(source: Any, target: Any, field: str) -> None:
    value = getattr(source, field)
    if isinstance(value, int | str):
        setattr(target, field, value)
    else:
        getattr(target, field).extend(value)


def inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that the caller gives: the graph's inputs that are not constants."""
    constants = {c.name for c in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in constants]


def is_dynamic(value: onnx.ValueInfoProto) -> bool:
    """Whether any dimension of the value is open."""
    return any(not d.HasField("dim_value") for d in value.type.tensor_type.shape.dim)


def _with_domains(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which each operator has its own domain; the standard's is called ""."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _rename_domains(copy)
    return copy


def _rename_domains(model: onnx.ModelProto) -> None:
    """Call, in place, the standard's domain "", and move what ONNX Runtime wrote into it."""
    for item in (*model.opset_import, *all_nodes(model.graph)):
        if item.domain == "ai.onnx":
            item.domain = ""
    opset = next((o.version for o in model.opset_import if not o.domain), 0)
    for node in all_nodes(model.graph):
        since = MISPLACED.get(node.op_type, 0)
        if not node.domain and (since is None or opset < since):
            node.domain = DOMAIN
    if DOMAIN not in {o.domain for o in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))


def _without_constant_inputs(model: onnx.ModelProto) -> None:
    """Take, in place, constants from the inputs, where files before version 4 must have them.

    onnx takes a constant that is none of such a file's inputs for unknown, and then infers
    wrong shapes.
    """
    own = inputs(model)
    del model.graph.input[:]
    model.graph.input.extend(own)
    model.ir_version = max(model.ir_version, _CONSTANTS_APART)


def with_shapes(
    model: onnx.ModelProto, shapes: Shapes, ranges: Ranges | None = None
) -> onnx.ModelProto:
    """A copy with the given shapes, and with a name for each open dimension.

    A dimension whose range has one size gets that size.

    Raises
    ------
    QuakeError
        For a shape that does not fit, and for a range of an unknown dimension.
    """
    model = _with_domains(model)
    open_dimensions(model)
    _without_constant_inputs(model)
    own = {i.name: i for i in inputs(model)}
    given: dict[str, int | str] = {}
    unnamed: list[tuple[Dimension, int | str]] = []
    for name, shape in shapes.items():
        if name not in own:
            raise QuakeError(f"the model has no input {name!r}; its inputs: {', '.join(own)}")
        unnamed += _fit(own[name], shape, given)
    for name, value in own.items():
        kind = value.type.WhichOneof("value")
        if kind in (None, "tensor_type") and not value.type.tensor_type.HasField("shape"):
            raise QuakeError(f"the model does not say input {name!r}'s rank: give its shape")
    dims = [dim for value in own.values() for dim in value.type.tensor_type.shape.dim]
    rename_dimensions(dims, given)
    for dim, n in unnamed:
        set_dimension(dim, n)
    name_dimensions(list(own.values()))
    ranges = ranges or {}
    check_names(ranges, [dim.dim_param for dim in dims if dim.dim_param.isidentifier()])
    single: dict[str, int | str] = {
        name: least for name, (least, most) in ranges.items() if least == most
    }
    rename_dimensions(dims, single)
    if shapes or single:  # shapes inferred for the old input shapes are invalid
        _forget_shapes(model)
    return model


def _fit(
    value: onnx.ValueInfoProto, shape: Sequence[int | str], given: dict[str, int | str]
) -> list[tuple[Dimension, int | str]]:
    """The sizes and names of an input's dimensions that have no name in the model.

    Those of named dimensions are added to ``given``.
    """
    ty = value.type.tensor_type
    if not ty.HasField("shape"):
        ty.shape.dim.extend(onnx.TensorShapeProto.Dimension() for _ in shape)
    dims, before, unnamed = ty.shape.dim, dict(given), []
    fits = len(shape) == len(dims)
    for dim, n in zip(dims, shape, strict=False):
        if is_named(dim):
            fits &= given.setdefault(dim.dim_param, n) == n
        else:
            # A 0 may mean "any" also in files newer than those that `open_dimensions` handles.
            fits &= isinstance(n, str) or dim.dim_value in (0, n)
            unnamed.append((dim, n))
    if not fits:
        wanted = ", ".join(
            str(before.get(d.dim_param, d.dim_param or d.dim_value or "?")) for d in dims
        )
        raise QuakeError(f"shape {tuple(shape)} does not fit input {value.name!r} ({wanted})")
    return unnamed


def _forget_shapes(model: onnx.ModelProto) -> None:
    """Drop, in place, the shapes of all values but the inputs."""
    for function in model.functions:
        del function.value_info[:]
    for graph in graphs(model.graph):
        del graph.value_info[:]
        for output in graph.output:
            if output.type.HasField("tensor_type"):
                output.type.tensor_type.ClearField("shape")
